"""Settings of learning every evaluation task from scratch: sections of a config."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from jsonargparse.typing import PositiveFloat, PositiveInt

from metarl.experiment.training_section import TrainingConfig
from metarl.policies.algorithms import find_algorithm

_OF_TRAINING = ("evaluation_tasks", "evaluation_episodes", "evaluation_steps")
"""Keys of the section `training` that learning from scratch reads."""
_SET_ELSEWHERE = ("policy", "env", "policy_kwargs", "seed", "device", "verbose", "_init_setup_model")


@dataclass(frozen=True)
class NetworkConfig:
    """The networks of a stable-baselines3 algorithm, actor and critic alike.

    Args:
        hidden_sizes: units of every hidden layer.
        activation: "tanh" or "relu".
        initial_std: standard deviation of the actions at the start; SAC does not read it.
    """

    hidden_sizes: tuple[PositiveInt, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    initial_std: PositiveFloat = 1.0


@dataclass(frozen=True)
class ScratchConfig:
    """A stable-baselines3 algorithm, from scratch on every evaluation task: no meta-policy.

    Args:
        algorithm: "ppo", "sac", or "trpo" of sb3-contrib.
        num_envs: environments that it learns in at once.
        environment_steps: the budget of all tasks together; each has an equal share.
        evaluation_interval: environment steps between evaluations, beside those after every inner step's
            worth.
        deterministic: evaluate by mean actions instead of drawn ones.
        settings: keyword arguments of the algorithm, e.g. `n_steps`.

    Raises:
        ValueError: an algorithm that is not installed, or a setting that it does not take.
    """

    algorithm: Literal["ppo", "sac", "trpo"] = "ppo"
    num_envs: PositiveInt = 20
    environment_steps: PositiveInt = 800_000
    evaluation_interval: PositiveInt = 4_000
    deterministic: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    changeable: ClassVar[tuple[str, ...]] = ("environment_steps", "evaluation_interval", "deterministic")
    """Keys that may differ at a resume: the results of every such setting are kept."""
    unread: ClassVar[tuple[str, ...]] = (
        *(
            f"sampling.{key}"
            for key in ("tasks", "training_tasks", "episodes", "timeout_seconds", "advantages")
        ),
        *(f"training.{key.name}" for key in fields(TrainingConfig) if key.name not in _OF_TRAINING),
    )
    read_with: ClassVar[dict[str, Any]] = {"policy.initial_std": {"algorithm": ("ppo", "trpo")}}

    def __post_init__(self) -> None:
        try:
            kind = find_algorithm(self.algorithm.upper())
        except ValueError as error:
            raise ValueError(f"from_scratch.algorithm: {error}") from error
        known = sorted(set(inspect.signature(kind).parameters) - {*_SET_ELSEWHERE})
        if unknown := [key for key in self.settings if key not in known]:
            raise ValueError(
                f"from_scratch.settings: expected keys among {known}, which {kind.__name__} takes, "
                f"got {unknown}"
            )
