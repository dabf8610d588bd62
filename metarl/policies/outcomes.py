"""What a policy that remembers is told of its last step: action, reward, and the end of the episode."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.policies.policy import Carry


def outcome_size(action_size: int) -> int:
    """Numbers of a step that the next one sees: action, reward, end."""
    return action_size + 2


def outcomes(actions: Tensor, rewards: Tensor, last: Tensor, reads_rewards: bool) -> Tensor:
    """What the next step sees of actions [..., action], rewards and ends [...]: [..., action + 2].

    Args:
        reads_rewards: whether rewards are fed; zeros stand in their place where not.
    """
    seen = rewards if reads_rewards else torch.zeros_like(rewards)
    return torch.cat((actions, torch.stack((seen, last.to(actions.dtype)), dim=-1)), dim=-1)


def nothing_remembered(like: Tensor, tasks: int, lanes: int, hidden_size: int, action_size: int) -> Carry:
    """The carry at a trial's first step: zeros, [task, lane, ...], of the kind of a tensor."""
    sizes = {"hidden": hidden_size, "outcome": outcome_size(action_size)}
    return {name: like.new_zeros(tasks, lanes, size) for name, size in sizes.items()}
