"""What every meta-learner is: an initial state, an inner step, and an update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from metarl.math.parameters import Parameters
from metarl.policies.policy import Policy
from metarl.rollouts.rollout import Batch, MetaBatch


@dataclass(frozen=True)
class LearnerState:
    """All that training changes; a checkpoint holds this and the iteration.

    Args:
        parameters: the meta-parameters, learned step sizes and contexts among them.
        optimiser: the outer optimiser's tensors, if it has any.
    """

    parameters: Parameters
    optimiser: Parameters = field(default_factory=dict)


class Update(NamedTuple):
    """The new state, diagnostics by name, and why the outer step was rejected if it was."""

    state: LearnerState
    metrics: dict[str, float]
    rejection: str | None = None


STEP_SIZE = "step_size."
"""How the names of learned step sizes begin."""


def without_step_sizes(parameters: Parameters) -> list[str]:
    """The names that are not step sizes."""
    return [name for name in parameters if not name.startswith(STEP_SIZE)]


def learned_metrics(policy: Policy, parameters: Parameters) -> dict[str, float]:
    """Mean and, of more than one number, root mean square of what a learner adds to a policy's parameters."""
    own = policy.initial_parameters(torch.Generator())
    metrics: dict[str, float] = {}
    for name, value in parameters.items():
        if name not in own:
            metrics[f"mean_of_{name}"] = value.mean().item()
            if value.numel() > 1:
                metrics[f"rms_of_{name}"] = value.square().mean().sqrt().item()
    return metrics


class MetaLearner(Protocol):
    """Learners see batches, never environments."""

    policy: Policy
    """What acts with the learner's parameters."""
    inner_steps: int
    """Inner steps between the rollouts of an iteration, each on fresh episodes."""

    def initial_state(self, generator: torch.Generator) -> LearnerState: ...

    def inner_step(self, parameters: Parameters, batch: Batch, step: int) -> Parameters:
        """One task's parameters after inner step number `step` (from 0), from its batch [episode, time, ...].

        Steps beyond `inner_steps` go on as the last ones did.
        """
        ...

    def update(self, state: LearnerState, batch: MetaBatch) -> Update:
        """One outer step.

        Raises:
            NonFiniteError: a gradient that is not finite; the state is unchanged.
        """
        ...
