"""What a policy file says of itself, so that its policy acts and adapts without the environment it is of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from metarl.errors import RunError
from metarl.experiment.build import Experiment
from metarl.experiment.experiments import ExperimentConfig
from metarl.policies.normalised import NormalisedPolicy
from metarl.policies.plain import policy_to_plain
from metarl.runs.files import VERSION

FORMAT = 1
Kind = Literal["run", "meta_policy", "adapted_policy"]
_KINDS = ("run", "meta_policy", "adapted_policy")


@dataclass(frozen=True)
class Adaptation:
    """What adapts a policy.

    Args:
        policy: as plain data, the one that the meta-learner is given; it may act by another, made of it.
        meta_learner: its name and settings, as in a config.
        advantages: settings of their estimate, as in a config.
        inner_steps: between the rollouts of an iteration of training.
    """

    policy: Mapping[str, Any]
    meta_learner: Mapping[str, Any]
    advantages: Mapping[str, Any]
    inner_steps: int


@dataclass(frozen=True)
class ActionBounds:
    """The box of actions.

    Args:
        low, high: nested lists of its shape; None where there is no bound.
        dtype: of actions, by NumPy's name.
    """

    low: list[Any]
    high: list[Any]
    dtype: str

    @classmethod
    def of(cls, space: gymnasium.spaces.Box) -> ActionBounds:
        return cls(
            _finite_or_none(space.low.tolist()), _finite_or_none(space.high.tolist()), str(space.dtype)
        )

    @property
    def space(self) -> gymnasium.spaces.Box:
        """The box.

        Raises:
            RunError: the bounds are those of none.
        """
        try:
            low, high = _filled(self.low, -math.inf, self.dtype), _filled(self.high, math.inf, self.dtype)
            return gymnasium.spaces.Box(low, high, low.shape, low.dtype.type)
        except (TypeError, ValueError, AssertionError, OverflowError) as error:
            raise RunError(
                f"actions: expected the bounds of a box, got {self}: {error}; write the file again"
            ) from error


@dataclass(frozen=True)
class PolicyDescription:
    """All that acting and adapting need beside the parameters, as plain JSON in the file's metadata.

    Args:
        kind: "run": the meta-policy of a training run, in its folder; "meta_policy": one that was saved
            on its own; "adapted_policy": one for a task.
        policy: what acts: its registered name, or "my_package:MyPolicy", and its settings, sizes included.
        actions: of the training environment.
        environment: id, options, and horizon in steps.
        adaptation: what adapts it.
        task: parameters of the task it is adapted to; None for a meta-policy, or for the task that its
            environment had of its own.
        returns: `AdaptedPolicy.returns`.
        version: of metarl, that wrote the file.
    """

    kind: Kind
    policy: Mapping[str, Any]
    actions: ActionBounds
    environment: Mapping[str, Any]
    adaptation: Adaptation
    task: Mapping[str, Any] | None = None
    returns: tuple[float, ...] = ()
    version: str = VERSION

    def adapted_to(self, task: Mapping[str, Any] | None, returns: tuple[float, ...]) -> PolicyDescription:
        """The description of the policy that was adapted to a task."""
        plain = None if task is None else _plain(task)
        return replace(self, kind="adapted_policy", task=plain, returns=returns, version=VERSION)

    def to_json(self) -> str:
        """One line of plain JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, default=repr)


def describe(experiment: Experiment) -> PolicyDescription:
    """The description of an experiment's meta-policy.

    Raises:
        ConfigError: its policy is no dataclass of plain settings.
    """
    environment, meta_learner, advantages = _sections(experiment.config)
    given = experiment.given_policy
    named = given.policy if isinstance(given, NormalisedPolicy) else given
    names = {type(named): experiment.config.policy.name}
    adaptation = Adaptation(
        policy=policy_to_plain(given, names),
        meta_learner=meta_learner,
        advantages=advantages,
        inner_steps=int(experiment.learner.inner_steps),
    )
    actions = ActionBounds.of(experiment.action_space)
    return PolicyDescription(
        "run", policy_to_plain(experiment.policy, names), actions, environment, adaptation
    )


def redescribe(description: PolicyDescription, config: ExperimentConfig) -> PolicyDescription:
    """The description with the environment, meta-learner and advantages of a changed config."""
    environment, meta_learner, advantages = _sections(config)
    adaptation = replace(description.adaptation, meta_learner=meta_learner, advantages=advantages)
    return replace(description, environment=environment, adaptation=adaptation)


def _sections(config: ExperimentConfig) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Environment, meta-learner and advantages as plain data."""
    sections = config.as_dict()
    environment = {key: sections["environment"][key] for key in ("id", "options", "horizon")}
    return environment, sections["meta_learner"], sections["sampling"].get("advantages", {})


def read_description(text: str) -> PolicyDescription:
    """The description in a file's JSON; keys that it does not know are left out.

    Raises:
        RunError: no description, or one of a later format.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"description: expected JSON, got {text!r:.80}; write the file again") from error
    found = _value(data, "format", int) if isinstance(data, dict) else None
    if found != FORMAT:
        raise RunError(
            f"description: expected format {FORMAT}, got {found!r}; read the file with the version of metarl "
            "that wrote it, or a later one"
        )
    actions, adaptation = _value(data, "actions", dict), _value(data, "adaptation", dict)
    if data.get("kind") not in _KINDS:
        raise _wrong("kind", f"one of {list(_KINDS)}", data.get("kind"))
    return PolicyDescription(
        kind=data["kind"],
        policy=_value(data, "policy", dict),
        actions=ActionBounds(
            _value(actions, "low", list), _value(actions, "high", list), _value(actions, "dtype", str)
        ),
        environment=_environment(_value(data, "environment", dict)),
        adaptation=Adaptation(
            policy=_value(adaptation, "policy", dict),
            meta_learner=_value(adaptation, "meta_learner", dict),
            advantages=_value(adaptation, "advantages", dict),
            inner_steps=_value(adaptation, "inner_steps", int),
        ),
        task=None if data.get("task") is None else _value(data, "task", dict),
        returns=tuple(_value(data, "returns", list)),
        version=_value(data, "version", str),
    )


def _environment(data: dict[str, Any]) -> dict[str, Any]:
    kinds = {"id": str, "options": dict, "horizon": int}
    found = {key: _value(data, key, kind) for key, kind in kinds.items()}
    if found["horizon"] < 1:
        raise _wrong("horizon", "an integer > 0", found["horizon"])
    return found


def _value(data: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    if type(data.get(key)) is not kind:
        raise _wrong(key, f"a value of type {kind.__name__}", data.get(key))
    return data[key]


def _wrong(key: str, expected: str, found: Any) -> RunError:
    return RunError(f"description.{key}: expected {expected}, got {found!r:.80}; write the file again")


def _plain(value: Any) -> Any:
    """Arrays and tuples as lists, and NumPy's numbers as numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _finite_or_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite_or_none(item) for item in value]
    return value if math.isfinite(value) else None


def _filled(value: list[Any], missing: float, dtype: str) -> NDArray[Any]:
    bounds = np.array(value, dtype=np.float64)  # None becomes NaN
    return np.where(np.isnan(bounds), missing, bounds).astype(dtype)
