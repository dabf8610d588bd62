"""The planned runs of a comparison, checked before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from metarl.comparison.judgement import Protocol
from metarl.errors import ConfigError, RunError
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.environments import HELD_OUT, task_distribution
from metarl.experiment.experiments import (
    ControlExperiment,
    ExperimentConfig,
    ScratchExperiment,
    of_control,
    scale_later_steps,
)
from metarl.experiment.training_section import TrainingConfig
from metarl.from_scratch.model import check_from_scratch
from metarl.from_scratch.training import planned_steps as scratch_steps
from metarl.policies.policy import has_memory
from metarl.policies.registry import find_policy
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.runs.folder import find_run
from metarl.runs.progress import read_progress
from metarl.runs.starting_point import initial_state
from metarl.training.sweeps import Variant, variant_name, variant_words

_NO_END = 10**9
_OF_POLICIES = ("observe_task", "action_scale")  # options that change neither bodies nor rewards


@dataclass(frozen=True)
class Entry:
    """One planned run: an algorithm's config with a seed and a budget, in a folder of its own."""

    label: str
    seed: int
    config: ControlExperiment


def make_entry(
    path: Path,
    seed: int,
    budget: int,
    folder: Path,
    protocol: Protocol,
    evaluations: int,
    variant: Variant | None = None,
    label: str | None = None,
) -> Entry:
    """The run of a config file, with its budget instead of its own number of iterations.

    A config of no iterations keeps having none. One that learns from scratch keeps its number of tasks where
    it is smaller than the protocol's, and its environment steps per task unless all exceed the budget.

    Args:
        evaluations: policies that training keeps for the learning curve, about evenly over the budget.
        variant: values of the config's keys, which the folder is named by.
        label: the row's; without one, as the folder.

    Raises:
        ConfigError: the config is missing or wrong, or a variant sets what the comparison does.
    """
    chosen = variant or {}
    own = of_control(read_config(path, variant_words(chosen)))
    name = label_of(path, chosen)
    overrides = {"seed": seed, "run_dir": folder / name / f"seed_{seed}"}
    if isinstance(own, ScratchExperiment):
        tasks = min(protocol.tasks, own.training.evaluation_tasks)
        share = own.from_scratch.environment_steps // own.training.evaluation_tasks
        overrides |= {
            "training.evaluation_tasks": tasks,
            "training.evaluation_episodes": protocol.episodes,
            "training.evaluation_steps": protocol.steps,
            "from_scratch.environment_steps": min(budget, share * tasks),
            "from_scratch.deterministic": str(protocol.deterministic).lower(),
        }
    else:
        overrides |= {
            "training.environment_steps": budget,
            "training.iterations": _NO_END if own.training.iterations else 0,
            "training.snapshot_every": -(-budget // evaluations),
            "training.evaluate_every": 0,
        }
    if taken := chosen.keys() & overrides.keys():
        raise ConfigError(f"--sweep: expected a key that the comparison does not set, got {min(taken)}")
    config = of_control(read_config(path, variant_words({**chosen, **overrides})))
    return Entry(label or name, seed, config)


def label_of(path: Path, variant: Variant) -> str:
    """What a config's row and folder are called."""
    return f"{path.stem}_{variant_name(variant)}" if variant else path.stem


def planned_steps(entry: Entry) -> int:
    """Environment steps that a run will have taken at its end."""
    config = entry.config
    if isinstance(config, ScratchExperiment):
        return scratch_steps(config)
    return int(config.training.environment_steps)


def difference(one: ControlExperiment, other: ControlExperiment) -> str | None:
    """Why two configs cannot be compared: "key: expected ..., got ..."; None if they can.

    They must have the same tasks and horizon; what a policy observes and its action box may differ. With
    equally large meta-batches, a seed gives both the same training tasks; policies with memory have trials of
    few episodes, and meta-batches of their own size.
    """

    def takes_steps(config: ControlExperiment) -> bool:
        if not isinstance(config, ExperimentConfig) or not config.training.iterations:
            return False
        return not has_memory(find_policy(config.policy.name))

    if reason := other_tasks(one, other):
        return reason
    if takes_steps(one) and takes_steps(other) and one.sampling.tasks != other.sampling.tasks:
        return f"sampling.tasks: expected {one.sampling.tasks}, got {other.sampling.tasks}"
    return None


def other_tasks(one: ControlExperiment, other: ControlExperiment) -> str | None:
    """How two configs differ in tasks or horizon: "key: expected ..., got ..."; None if they do not."""

    def posed(config: ControlExperiment) -> dict[str, object]:
        environment = config.environment
        options = {key: value for key, value in environment.options.items() if key not in _OF_POLICIES}
        return {"id": environment.id, "horizon": environment.horizon, "options": options}

    for key, expected in posed(one).items():
        if posed(other)[key] != expected:
            return f"environment.{key}: expected {expected}, got {posed(other)[key]}"
    return None


def check(entry: Entry, protocol: Protocol) -> None:
    """Builds what a run needs and reads what its folder holds, without training.

    Raises:
        ConfigError: it cannot be built, or its meta-learner does not know the protocol's `later_step_scale`;
            the message names the config.
        RunError: its folder holds another run, or one that cannot serve.
    """
    run_dir = Path(entry.config.run_dir)
    try:
        found = find_run(entry.config, resume=True)
        if isinstance(entry.config, ScratchExperiment):
            if protocol.on != HELD_OUT:
                raise ConfigError(
                    f"--on: expected {HELD_OUT}, as from scratch tasks are learned, got {protocol.on}"
                )
            check_from_scratch(entry.config)
            return
        if protocol.later_step_scale is not None:
            scale_later_steps(entry.config, protocol.later_step_scale)
        initial_state(build_experiment(entry.config))
        if options := protocol.environment_options:
            environment = entry.config.environment
            judged = replace(environment, options={**environment.options, **options})
            try:
                task_distribution(replace(entry.config, environment=judged))
            except ConfigError as error:
                raise ConfigError(f"--on {protocol.on} --scale {protocol.scale:g}: {error}") from error
        if found and (run_dir / CHECKPOINT).is_file():
            _check_serves(run_dir, entry.config.training)
    except ConfigError as error:
        raise ConfigError(f"{entry.label}: {error}") from error
    except RunError as error:
        raise RunError(
            f"{entry.label}, seed {entry.seed}: {error}; compare.py keeps its runs in --output"
        ) from error


def _check_serves(run_dir: Path, training: TrainingConfig) -> None:
    """A finished run serves the budget that its last iteration reached, and no smaller one."""
    done = load_checkpoint(run_dir).iteration
    if done and not training.iterations:
        raise RunError(f"{run_dir}: expected a policy without training, got one of {done} iterations")
    taken = read_progress(run_dir, done, "rollout/environment_steps")
    budget = training.environment_steps
    if len(taken) > 1 and taken[-2] >= budget > 0:
        raise RunError(
            f"{run_dir}: expected a run that ends once {budget:,} environment steps are taken, got one of "
            f"{taken[-1]:,.0f}; choose another folder, or that budget"
        )
