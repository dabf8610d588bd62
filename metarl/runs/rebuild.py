"""From a description to objects: the policy that acts, and the meta-learner that adapts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, get_origin, get_type_hints

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError, RunError
from metarl.math.parameters import Parameters
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.registry import Registered, find_meta_learner
from metarl.policies.plain import policy_from_plain
from metarl.policies.plug_ins import names_module
from metarl.policies.policy import AnyPolicy, Carry, remembers
from metarl.rollouts.advantages import AdvantageConfig
from metarl.runs.description import PolicyDescription


def rebuild_policy(description: PolicyDescription, parameters: Parameters, trust: bool) -> AnyPolicy:
    """The policy that acts with the parameters.

    Args:
        trust: import the modules that the description names.

    Raises:
        RunError: it names one and is not trusted, or the parameters are not those of its policy.
    """
    policy = policy_from_plain(description.policy, trust)
    try:
        own = _kinds(policy.initial_parameters(torch.Generator()))
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        raise RunError(
            f"policy: expected settings of {description.policy.get('name')}, got ones that it cannot be "
            f"made of: {error}; write the file again"
        ) from error
    found = _kinds(parameters)
    if own != {name: kind for name, kind in found.items() if name in own}:
        raise RunError(
            f"its parameters are not those of the policy that it describes: expected {own}, got {found}; "
            "write the file again"
        )
    if wild := [name for name, value in parameters.items() if not value.isfinite().all()]:
        raise RunError(f"{wild[0]}: expected finite parameters, got others; write the file again")
    return policy


def check_carry(policy: AnyPolicy, parameters: Parameters, carry: Carry) -> None:
    """Checks that what a policy knows of its task is what its class carries, and finite.

    Raises:
        RunError: it is not.
    """
    one = {name: value.unsqueeze(0) for name, value in parameters.items()}
    own = _kinds(policy.begin_trial(one, 1, 1), parameters) if remembers(policy) else {}
    found = _kinds(carry, parameters)
    if own != found or not all(value.isfinite().all() for value in carry.values()):
        raise RunError(
            f"its carry is not that of the policy that it describes: expected finite numbers {own}, got "
            f"{found}; write the file again"
        )


def rebuild_learner(
    description: PolicyDescription, parameters: Parameters, task_map: TaskMap, trust: bool
) -> tuple[MetaLearner, AdvantageConfig]:
    """What adapts the parameters, and how it estimates advantages.

    Raises:
        RunError: the meta-learner names a module and is not trusted, it is not there or takes other
            settings, or the parameters are not those that it adapts.
    """
    adaptation = description.adaptation
    settings = dict(adaptation.meta_learner)
    name = str(settings.pop("name", ""))
    if names_module(name) and not trust:
        raise RunError(
            f"meta_learner.name: expected a registered meta-learner, got {name!r}, whose module would be "
            "imported: pass trust=True (--trust) if you trust this file"
        )
    policy = policy_from_plain(adaptation.policy, trust)
    registered = _registered(name)
    try:
        learner = registered.of(policy, _made(registered.config, settings), task_map)
        advantages = AdvantageConfig(**adaptation.advantages)
        expected = _kinds(learner.initial_parameters(torch.Generator()))
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        raise RunError(
            f"adaptation: expected settings that {name} takes, got {settings}: {error}; load the file with "
            "the version that wrote it"
        ) from error
    if expected != _kinds(parameters):
        raise RunError(f"its parameters are not those that {name} adapts; write the file again")
    return learner, advantages


def _registered(name: str) -> Registered:
    try:
        return find_meta_learner(name)
    except ConfigError as error:
        raise RunError(f"{error}; register it before the policy adapts") from error


def _kinds(tensors: Mapping[str, Tensor], beside: Mapping[str, Tensor] | None = None) -> dict[str, str]:
    """Shapes of tensors, by name, and of which kind their numbers are: "real [64, 2]".

    Numbers of any one precision are "real", as float64's policies act too; of several, in these tensors and
    in those beside them, each says its own.
    """
    all_of_them = (*tensors.values(), *(beside or {}).values())
    precisions = {one.dtype for one in all_of_them if one.is_floating_point()}

    def kind(one: Tensor) -> str:
        alike = one.is_floating_point() and len(precisions) == 1
        return "real" if alike else str(one.dtype).partition(".")[2]

    return {name: f"{kind(one)} {[*one.shape]}" for name, one in tensors.items()}


def _made(kind: Any, values: Mapping[str, Any]) -> Any:
    """The dataclass of plain values, with those in it; lists are tuples where it has tuples."""
    hints = get_type_hints(kind)

    def field(name: str, value: Any) -> Any:
        hint = hints.get(name)
        if is_dataclass(hint) and isinstance(value, Mapping):
            return _made(hint, value)
        return tuple(value) if get_origin(hint) is tuple and isinstance(value, list) else value

    return kind(**{name: field(name, value) for name, value in values.items()})
