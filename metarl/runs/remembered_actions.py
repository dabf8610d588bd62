"""What a policy with memory does at an observation, its carry passed from call to call."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl.math.parameters import Parameters, kind, repeat
from metarl.policies.policy import Carry, Remembering, Transition

State = tuple[NDArray[Any], ...]
"""The last observations [env, observation] and actions [env, action], and the carry, [env, ...] each."""


def remembered_actions(
    policy: Remembering,
    parameters: Parameters,
    known: Carry,
    observations: Tensor,
    state: State | None,
    episode_start: NDArray[Any] | None,
    reward: NDArray[Any] | None,
    final_observations: Tensor | None,
    generator: torch.Generator,
    deterministic: bool,
) -> tuple[Tensor, State]:
    """The actions [env, action] for observations [env, observation], and the state to pass at the next ones.

    An episode's end is told to the policy as `last`, and as a termination: `predict` is not told which.

    Args:
        parameters: without a task axis.
        known: the carry [1, 1, ...] of a policy that is adapted; empty where a trial begins.
        state: of the call before; None starts from what is known.
        episode_start: [env]; whether an episode ended by the last action.
        reward: [env]; of the last action.
        final_observations: [env, observation]; what the last action led to, read where it ended an episode.

    Raises:
        ValueError: the policy remembers what it is not told.
    """
    one, count = repeat(parameters, 1), len(observations)
    dtype, device = kind(parameters)
    fresh = policy.begin_trial(one, 1, count)
    if state is None:
        carry = {name: value.expand(1, count, *value.shape[2:]) for name, value in known.items()} or fresh
        begins = torch.ones(1, count, dtype=torch.bool, device=device)
    else:
        last_observations, last_actions, *values = (
            torch.as_tensor(part, dtype=dtype, device=device).unsqueeze(0) for part in state
        )
        begins = _row(episode_start, count, 0.0, dtype, device) > 0
        final = torch.full_like(observations, torch.nan) if final_observations is None else final_observations
        following = torch.where(begins.unsqueeze(-1), final, observations)
        rewards = _row(reward, count, torch.nan, dtype, device)
        step = Transition(last_observations, last_actions, rewards, following, begins, begins)
        carry = policy.observe(one, dict(zip(fresh, values, strict=True)), step)
    shape = (1, count, policy.episode_noise_size)
    begun = policy.begin_episode(one, carry, _noise(shape, generator, dtype, device))
    carry = {name: _where(begins, value, carry[name]) for name, value in begun.items()}
    distribution, carry = policy.act(one, carry, observations.unsqueeze(0))
    actions = distribution.mode
    if not deterministic:
        actions = distribution.draw(_noise(actions.shape, generator, dtype, device))
    if not torch.isfinite(actions).all():
        ended = state is not None and bool(begins.any())
        raise ValueError(_untold(type(policy).__name__, reward, ended and final_observations is None))
    parts = (observations, actions[0], *(value[0] for value in carry.values()))
    return actions[0], tuple(part.cpu().numpy() for part in parts)


def _untold(name: str, reward: NDArray[Any] | None, lacks_final: bool) -> str:
    told = "predict(observation, state, episode_start, reward=..."
    if reward is None:
        return f"expected reward, what the last action was paid, which {name} remembers: {told})"
    if lacks_final:
        return (
            "expected final_observation, what an episode's last action led to, which "
            f"{name} remembers: {told}, final_observation=...)"
        )
    return "expected finite actions, got others: a reward, an observation or a parameter is not finite"


def _row(
    values: NDArray[Any] | None, count: int, missing: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """[env] as [1, env]; the same for all where none are given."""
    given = np.full(count, missing) if values is None else np.asarray(values)
    return torch.as_tensor(given, dtype=dtype, device=device).reshape(1, count)


def _noise(
    shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype, device: torch.device
) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=dtype, device=device)


def _where(begins: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(begins.view(*begins.shape, *[1] * (new.ndim - begins.ndim)), new, old)
