"""The buffers of a rollout, and the rollouts made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from metarl.policies.policy import Transition
from metarl.rollouts.acting import Actor, RememberingActor
from metarl.rollouts.rollout import Rollout


class Recording:
    """The buffers of one episode per lane, time first so that a step is contiguous, and who fills them.

    On a GPU, observations and actions cross through pinned host buffers, and the one wait in a step is
    for the action.

    Args:
        noise: of the actions, [time, task, lane, action].
        observation_size: of the environment.
        deterministic: take the most likely actions instead of drawing.
    """

    def __init__(
        self,
        actor: Actor | RememberingActor,
        noise: Tensor,
        observation_size: int,
        *,
        deterministic: bool = False,
    ) -> None:
        self._actor, self._noise, self._deterministic = actor, noise, deterministic
        self._shape = noise.shape[1:3]
        device, dtype = noise.device, noise.dtype
        horizon, (tasks, lanes) = len(noise), self._shape
        envs, pinned = tasks * lanes, device.type == "cuda"
        self._observation_host = torch.empty(envs, observation_size, dtype=dtype, pin_memory=pinned)
        self._action_host = torch.empty(envs, noise.shape[-1], dtype=dtype, pin_memory=pinned)
        self._observations = torch.zeros(horizon, *self._shape, observation_size, device=device, dtype=dtype)
        self._behaviour: list[Tensor] = []
        self._structure: Any = None
        self._action = noise[0]
        self._rewards = np.zeros((horizon, envs))
        self._valid = np.zeros((horizon, envs), dtype=np.bool_)
        self._terminated = np.zeros(envs, dtype=np.bool_)
        self._truncated = np.zeros(envs, dtype=np.bool_)
        self._diverged = np.zeros(envs, dtype=np.bool_)
        self._success: NDArray[np.bool_] | None = None

    def act(self, observation: NDArray[Any], t: int) -> NDArray[Any]:
        """Draws the actions of all environments, [env, action]; the array is reused."""
        self._observation_host.copy_(torch.from_numpy(observation))
        current = self._observations[t]
        current.copy_(self._observation_host.view(current.shape), non_blocking=True)
        distribution = self._actor.act(current)
        parts, self._structure = tree_flatten(distribution)
        parts = [part[:, :1] if part.stride(1) == 0 else part for part in parts]  # the same in every lane
        if not self._behaviour:
            self._behaviour = [part.new_zeros(len(self._noise), *part.shape) for part in parts]
        for buffer, part in zip(self._behaviour, parts, strict=True):
            buffer[t] = part
        self._action = distribution.mode if self._deterministic else distribution.draw(self._noise[t])
        self._action_host.copy_(self._action.view(self._action_host.shape))
        return self._action_host.numpy()

    def record(
        self,
        observation: NDArray[Any],
        reward: NDArray[Any],
        terminated: NDArray[Any],
        truncated: NDArray[Any],
        info: dict[str, Any],
        t: int,
    ) -> NDArray[np.bool_]:
        """Stores a step's outcome; returns which episodes are over, [env]."""
        self._valid[t] = ~(self._terminated | self._truncated)
        self._rewards[t] = reward
        self._terminated, self._truncated = terminated, truncated
        if "diverged" in info:
            self._diverged |= info["diverged"]
        if "success" in info:
            told = self._valid[t] & (info["success"] > 0)
            self._success = told if self._success is None else self._success | told
        over: NDArray[np.bool_] = self._terminated | self._truncated
        if self._actor.remembers:
            last = over | (t == len(self._noise) - 1)
            outcome = (reward, observation, terminated, last)
            rewards, following, ended, lasts = (self._by_task(np.array(values)) for values in outcome)
            dtype = self._noise.dtype
            step = Transition(
                self._observations[t], self._action, rewards.to(dtype), following.to(dtype), ended, lasts
            )
            self._actor.observe(step, self._by_task(self._valid[t]))
        return over

    def rollout(self, final_observation: NDArray[Any]) -> Rollout:
        """The finished rollout, once; episodes still running are truncated at the horizon."""
        dtype = self._noise.dtype
        observations = _time_last(self._observations)
        del self._observations
        behaviour = tree_unflatten([self._of_lanes(part) for part in self._behaviour], self._structure)
        self._behaviour.clear()
        actions = behaviour.mode if self._deterministic else behaviour.draw(_time_last(self._noise))
        return Rollout(
            observations=observations,
            actions=actions,
            rewards=self._by_task(np.ascontiguousarray(self._rewards.T)).to(dtype),
            valid=self._by_task(np.ascontiguousarray(self._valid.T)),
            terminated=self._by_task(self._terminated),
            truncated=self._by_task(~self._terminated),
            final_observations=self._by_task(final_observation).to(dtype),
            behaviour=behaviour,
            behaviour_log_prob=behaviour.log_prob(actions),
            diverged_episodes=int(self._diverged.sum()),
            success=None if self._success is None else self._by_task(self._success),
        )

    def _of_lanes(self, part: Tensor) -> Tensor:
        """[time, task, lane or 1, x] -> [task, lane, time, x]."""
        values = _time_last(part)
        return values.expand(-1, self._shape[1], -1, -1)

    def _by_task(self, values: NDArray[Any]) -> Tensor:
        """[env, ...] -> [task, lane, ...] where the rollout lies."""
        return torch.from_numpy(values).view(*self._shape, *values.shape[1:]).to(self._noise.device)


def join_episodes(rollouts: Sequence[Rollout]) -> Rollout:
    """One rollout of the episodes [task, episode, ...] of several."""
    if len(rollouts) == 1:
        return rollouts[0]
    parts = [{one.name: getattr(rollout, one.name) for one in fields(rollout)} for rollout in rollouts]
    diverged = sum(part.pop("diverged_episodes") for part in parts)
    carries = [part.pop("carry") for part in parts]
    successes = [part.pop("success") for part in parts]
    seeds = [part.pop("seeds") for part in parts]
    joined = tree_map(lambda *pieces: torch.cat(pieces, dim=1), *parts)
    success = None if None in successes else torch.cat(successes, dim=1)
    return Rollout(**joined, diverged_episodes=diverged, carry=carries[-1], success=success, seeds=seeds[-1])


def _time_last(values: Tensor) -> Tensor:
    """[time, task, episode, x] -> [task, episode, time, x]."""
    return values.permute(1, 2, 0, 3).contiguous()
