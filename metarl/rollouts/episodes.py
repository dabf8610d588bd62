"""Episodes of one task in one ordinary `gymnasium.Env`, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from metarl_envs.foreign.adapters import apply_task
from metarl_envs.foreign.outcomes import checked_reset, checked_step
from numpy.typing import NDArray

from metarl.errors import NonFiniteError
from metarl.math.gaussian import DiagonalGaussian, log_prob
from metarl.math.parameters import Parameters
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Rollout


def collect_episodes(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    parameters: Parameters,
    *,
    task: Mapping[str, Any] | None,
    episodes: int,
    horizon: int,
    seed: Sequence[int],
) -> Rollout:
    """Runs the policy for some episodes, each until the environment ends it or the horizon does.

    Args:
        parameters: one task's, without a task axis.
        task: set before the first reset; None leaves the environment's own.
        seed: integers that determine the action noise and the environment's seeds.

    Returns:
        A rollout with one task: [1, episode, time, ...].

    Raises:
        NonFiniteError: an observation or reward that is not finite.
        ValueError: an environment that takes no task, or refuses this one; or one that returns what is no
            observation of its space, real reward or boolean end, with the episode and the step.
    """
    options = {} if task is None else apply_task(env, task)
    sequence = np.random.SeedSequence(list(seed))
    rng = np.random.default_rng(sequence)
    size, any_parameter = policy.action_size, next(iter(parameters.values()))
    dtype, device = any_parameter.dtype, any_parameter.device
    shape = (episodes, horizon)
    noise = torch.from_numpy(rng.standard_normal((*shape, size), dtype=np.float32)).to(device, dtype)
    space = env.observation_space
    observation_size = int(np.prod(space.shape or ()))
    observations = torch.zeros(*shape, observation_size, dtype=dtype, device=device)
    means, log_stds = torch.zeros_like(noise), torch.zeros_like(noise)
    rewards, valid = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=torch.bool)
    ends = np.zeros((2, episodes), dtype=np.bool_)
    finals = np.zeros((episodes, observation_size))
    seeds = sequence.generate_state(episodes)
    with torch.no_grad():
        for episode in range(episodes):
            place = f"episode {episode}"
            observation = checked_reset(env.reset(seed=int(seeds[episode]), options=options), space, place)
            _check_finite("observation from reset", observation, place, task)
            for t in range(horizon):
                observations[episode, t] = torch.from_numpy(observation.astype(np.float64).ravel())
                mean, log_std = policy(parameters, observations[episode, t])
                means[episode, t], log_stds[episode, t] = mean, log_std
                action = mean + log_std.exp() * noise[episode, t]
                place = f"episode {episode}, step {t}"
                stepped = env.step(within(env.action_space, action.cpu().numpy()))
                outcome = checked_step(stepped, space, place)
                observation = outcome.observation
                _check_finite("observation", observation, place, task)
                _check_finite("reward", np.array(outcome.reward), place, task)
                rewards[episode, t], valid[episode, t] = outcome.reward, True
                if outcome.terminated or outcome.truncated:
                    break
            ends[:, episode] = outcome.terminated, outcome.truncated
            finals[episode] = observation.ravel()
    behaviour = DiagonalGaussian(means[None], log_stds[None])
    actions = means[None] + log_stds[None].exp() * noise[None]
    terminated = torch.from_numpy(ends[0])[None].to(device)
    return Rollout(
        observations=observations[None],
        actions=actions,
        rewards=rewards[None].to(device),
        valid=valid[None].to(device),
        terminated=terminated,
        truncated=~terminated,
        final_observations=torch.from_numpy(finals)[None].to(device, dtype),
        behaviour=behaviour,
        behaviour_log_prob=log_prob(behaviour, actions),
    )


def within(space: gymnasium.Space[Any], action: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The action clipped to a box, in its shape and type.

    Raises:
        TypeError: the space is not a box.
    """
    if not isinstance(space, gymnasium.spaces.Box):
        raise TypeError(f"expected a continuous (Box) action space, got {space}")
    batch = action.shape[:-1]
    return np.clip(action.reshape(*batch, *space.shape), space.low, space.high).astype(space.dtype)


def _check_finite(what: str, values: NDArray[Any], place: str, task: Mapping[str, Any] | None) -> None:
    if np.isfinite(values).all():
        return
    plain = task and {name: np.asarray(value).tolist() for name, value in task.items()}
    named = f"task {plain}" if plain else "the environment's own task"
    raise NonFiniteError(f"{what} {values.tolist()} in {place}", 0, named)
