"""`metarl.load`: a policy from the folder of a run, or from one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from metarl_envs.arguments import is_number, told

from metarl.compute.devices import resolve_device
from metarl.errors import RunError, check_kinds
from metarl.experiment.experiments import meta_learned
from metarl.runs.checkpoint import load_policy, load_snapshots
from metarl.runs.description import PolicyDescription, describe, redescribe
from metarl.runs.files import POLICY
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy
from metarl.runs.places import find_place
from metarl.runs.policy_file import PolicyFile, read_policy
from metarl.runs.rebuild import check_carry, rebuild_policy
from metarl.runs.run_config import load_run_config
from metarl.runs.run_source import RunSource
from metarl.runs.saved import is_policy_file

_KINDS = {
    "path": (str, Path),
    "device": (str,),
    "iteration": (int, NoneType),
    "later_step_scale": (float, int, NoneType),
    "environment_options": (Mapping, NoneType),
    "trust": (bool,),
}


def load(
    path: str | Path,
    device: str = "cpu",
    *,
    iteration: int | None = None,
    later_step_scale: float | None = None,
    environment_options: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> MetaPolicy | AdaptedPolicy:
    """Loads the meta-policy of a run folder, or a policy that was saved.

    The policy acts, and adapts in an environment of yours, by what its file says of it: the run's own
    environment is neither built nor imported before `MetaPolicy.experiment` is asked for. Nothing that a
    folder or a file names as "my_package:Thing" is imported without `trust`: neither the policy's class, nor
    its meta-learner when it adapts, nor its environment when that is built.

    Args:
        path: a run folder, a folder of a saved policy, or its file, which ends in .safetensors; else
            "zoo/NAME", one that comes with the package (`metarl zoo`), or "hf://OWNER/NAME", a repository of
            the Hugging Face Hub, with the extra "hub".
        device: auto, cpu or cuda.
        iteration: of a policy that `training.snapshot_every` kept; None for the last one.
        later_step_scale: scales inner steps after the first, instead of the scale in training; Finn et al.
            2017 halve them in their tests.
        environment_options: added to the run's, e.g. {"out_of_distribution": 1.5}.
        trust: import the modules that the folder or file names.

    Returns:
        An `AdaptedPolicy` where the policy was saved after it adapted to a task, else a `MetaPolicy`. Its
        `predict` takes an observation [observation] or a batch [n, observation], and gives the action
        [action] or [n, action]; its `parameters` are tensors on the device, without a task axis.

    Raises:
        TypeError: an argument of another type.
        ValueError: a `later_step_scale` below 0, or not finite, or options whose names are no text.
        RunError: the folder or file is missing, foreign or damaged, its config is not that of its policy, it
            holds no policy of that iteration, or it names a module and is not trusted.
        ConfigError: the device is not there, or the learner has no `later_step_scale`.

    Warns:
        UserWarning: the files are of version 0.1.0, which does not tie the config to the policy.

    Examples:
        >>> import gymnasium, metarl
        >>> policy = metarl.load("goal.safetensors")
        >>> env = gymnasium.make("metarl/PointNavigation-v0", preset="maml")
        >>> observation, _ = env.reset(seed=0)
        >>> action, _ = policy.predict(observation, deterministic=True)
        >>> action.shape
        (2,)
    """
    check_kinds(_KINDS, locals())
    if later_step_scale is not None and not (is_number(later_step_scale) and later_step_scale >= 0):
        raise ValueError(f"later_step_scale: expected a number >= 0, or None, got {told(later_step_scale)}")
    if not all(isinstance(name, str) for name in environment_options or {}):
        raise ValueError(f"environment_options: expected options by name, got {told(environment_options)}")
    place, on = find_place(path), resolve_device(device)
    source = None
    if is_policy_file(place):
        if iteration is not None or later_step_scale is not None or environment_options:
            raise RunError(
                f"expected a run folder, to take another iteration, step or environment from, got {place}"
            )
        if not place.is_file():
            raise RunError(f"expected a policy file or a run folder, found neither: {place}")
        found = read_policy(place)
    else:
        source = RunSource(place, device, later_step_scale, environment_options or {}, trust)
        found = _policy_of(source, iteration)
    description = _description_of(place, found, source)
    try:
        policy = rebuild_policy(description, found.parameters, trust)
        if description.kind == "adapted_policy":
            check_carry(policy, found.parameters, found.carry)
    except RunError as error:
        raise RunError(f"{place}: {error}") from error
    parameters = {name: value.to(on) for name, value in found.parameters.items()}
    if description.kind == "adapted_policy":
        carry = {name: value.to(on) for name, value in found.carry.items()}
        return AdaptedPolicy(description, policy, parameters, carry)
    return MetaPolicy(description, policy, parameters, trust=trust, source=source)


def load_meta_policy(path: str | Path, device: str = "cpu", **options: Any) -> MetaPolicy:
    """As `load`, of what still adapts.

    Raises:
        RunError: as `load`, or the policy is adapted to a task.
        ConfigError: as `load`.
    """
    loaded = load(path, device, **options)
    if isinstance(loaded, AdaptedPolicy):
        raise RunError(
            f"expected the folder of a run, got {path}, a policy that is adapted to a task already: it acts "
            "(metarl.load), but does not adapt; take its run's folder"
        )
    return loaded


def _policy_of(source: RunSource, iteration: int | None) -> PolicyFile:
    folder = source.folder
    if iteration is not None:
        return _snapshot(folder, iteration)
    if not (folder / POLICY).is_file():
        meta_learned(load_run_config(folder, trust=source.trust))
    return load_policy(folder)


def _snapshot(folder: Path, iteration: int) -> PolicyFile:
    kept = {one.iteration: one for one in load_snapshots(folder)}
    if iteration not in kept:
        raise RunError(
            f"{folder}: expected one of the iterations whose policies were kept, {sorted(kept)}, "
            f"got {iteration}; training.snapshot_every keeps them"
        )
    found = kept[iteration]
    return PolicyFile(found.state.parameters, found.config_digest, found.description)


def _description_of(place: Path, found: PolicyFile, source: RunSource | None) -> PolicyDescription:
    """What the file says; of files that do not, what its run's experiment says."""
    if found.description is None:
        if source is None:
            raise RunError(
                f"{place}: expected a policy file that describes itself, got one of an earlier version; load "
                "the folder it is in"
            )
        return describe(source.experiment)
    if source is None or not source.changes_config:
        return found.description
    if found.description.kind == "adapted_policy":
        raise RunError(f"{place}: expected a meta-policy to change, got a policy that is adapted to a task")
    return redescribe(found.description, source.config)
