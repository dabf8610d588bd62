"""Runs measured on lists of tasks: what `metarl evaluate` does between its arguments and its files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from metarl_envs.task_files import read_tasks
from metarl_envs.tasks import Tasks, number_of_tasks

from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
from metarl.adaptation.figures.of_evaluation import episode_figures, task_figures
from metarl.adaptation.measurement import Measured, SeedCurves
from metarl.commands.arguments import load_run
from metarl.commands.baselines import Baseline
from metarl.errors import ConfigError, MetaRLError
from metarl.experiment.build import Experiment
from metarl.experiment.environments import (
    BEYOND,
    HELD_OUT,
    family_of,
    held_out_phrase,
    list_name,
    sample_held_out,
    strata_of,
    task_distribution,
)
from metarl.experiment.experiments import ControlExperiment
from metarl.runs.meta_policy import MetaPolicy
from metarl.runs.run_config import difference_but_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING = "training"


def titles_of(arguments: argparse.Namespace, config: ControlExperiment) -> dict[str, str]:
    """What each list of `--on` is called in the results.

    Raises:
        ConfigError: two lists of one name, or the environment cannot be had.
    """
    lists, source = arguments.on, task_distribution(config)
    drawn = list_name(source, sample_held_out(source, arguments.tasks, arguments.seed))
    known = {HELD_OUT: drawn, TRAINING: TRAINING, BEYOND: BEYOND}
    titles = {name: known.get(name, Path(name).stem) for name in lists}
    if len(set(titles.values())) < len(lists):
        raise ConfigError(f"--on: expected lists of different names, got {' '.join(lists)}")
    return titles


def check_seeds(arguments: argparse.Namespace) -> ControlExperiment:
    """The config of the runs to measure, but for the others' seeds.

    Raises:
        MetaRLError: one cannot be loaded, or they differ in more than their seeds, or not in these.
    """
    first, *others = [
        load_run(arguments, folder, later_step_scale=arguments.later_step_scale).experiment.config
        for folder in arguments.run_dir
    ]
    seeds = {first.seed: arguments.run_dir[0]}
    for folder, config in zip(arguments.run_dir[1:], others, strict=True):
        if reason := difference_but_seed(first, config):
            raise ConfigError(
                f"{folder}: expected a run of the same config with another seed; {reason}; runs to compare "
                "go to --beside"
            )
        if config.seed in seeds:
            raise ConfigError(
                f"{folder}: expected a run with another seed than {seeds[config.seed]}, got {config.seed} "
                "twice; runs to compare go to --beside"
            )
        seeds[config.seed] = folder
    return first


def rollouts_of_a_list(arguments: argparse.Namespace, baselines: Mapping[str, Baseline]) -> int:
    """Rollouts that measure one list, for the progress."""
    curves: int = len(arguments.run_dir) * (1 + len(arguments.episodes_used))
    curves += sum(baseline.curves_to_measure for baseline in baselines.values())
    return curves * int(arguments.steps + 1)


def measure(
    arguments: argparse.Namespace,
    name: str,
    title: str,
    baselines: Mapping[str, Baseline],
    progress: Callable[[], object],
    failed: Callable[[str, MetaRLError], object],
) -> tuple[Measured, dict[str, Figure]]:
    """What the runs, and those beside them, do on one task list, and figures of it by their name.

    Figures by task are of all runs; ways, speeds, beliefs and step sizes are of the first one.

    Args:
        title: of the list, in the results.
        failed: called with the name of a baseline that cannot be measured, and why.

    Raises:
        MetaRLError: no such list for this environment, or one that cannot be measured.
    """
    options = {"out_of_distribution": arguments.scale} if name == BEYOND else {}
    where = f"evaluation on {name} tasks"

    def load(folder: Path) -> MetaPolicy:
        scale = arguments.later_step_scale
        return load_run(arguments, folder, later_step_scale=scale, environment_options=options)

    def curve(policy: MetaPolicy, tasks: Tasks, number: int | None = None) -> AdaptationCurve:
        found = evaluation_of(policy, tasks, arguments, where=where, progress=progress, number=number)
        return found.curve

    pairs = [(one, task_list(one.experiment, name, arguments)) for one in map(load, arguments.run_dir)]
    policy, tasks = pairs[0]
    experiment = policy.experiment
    strata = None if name == TRAINING else strata_of(experiment.task_distribution, tasks)
    first = evaluation_of(policy, tasks, arguments, where=where, progress=progress, keep_rollouts=True)
    seeds = tuple(one.experiment.config.seed for one, _ in pairs)
    own = SeedCurves((first.curve, *(curve(*pair) for pair in pairs[1:])), strata, seeds)
    by_episodes = {
        number: SeedCurves(tuple(curve(*pair, number) for pair in pairs), strata)
        for number in arguments.episodes_used
    }
    beside = {}
    for label, baseline in baselines.items():
        try:
            found = baseline.measure(tasks, lambda folder: curve(load(folder), tasks))
            beside[label] = replace(found, strata=None if strata is None else strata[: found.tasks])
        except MetaRLError as error:
            failed(label, error)
    phrase = phrase_of(name, experiment, tasks)
    shown = phrase if len(pairs) == 1 else f"{phrase}, {arguments.run_dir[0].name}"
    acted = policy.policy, policy.parameters, family_of(experiment.config)
    figures = {**task_figures(own.pooled, phrase, title), **episode_figures(first, *acted, shown)}
    return Measured(phrase, own, by_episodes, beside), figures


def evaluation_of(
    policy: MetaPolicy,
    tasks: Tasks,
    arguments: argparse.Namespace,
    *,
    where: str,
    progress: Callable[[], object],
    number: int | None = None,
    keep_rollouts: bool = False,
) -> Evaluation:
    """What one run does.

    Args:
        number: episodes of every inner step, where it is not that of the episodes to measure; held-back
            ones are measured then.
        keep_rollouts: keep the episodes that were measured.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    return policy.experiment.evaluate(
        policy.parameters,
        tasks,
        episodes=number or arguments.episodes,
        steps=arguments.steps,
        seed=arguments.seed,
        deterministic=arguments.deterministic,
        held_back=number and arguments.episodes,
        keep_rollouts=keep_rollouts,
        progress=progress,
        where=where,
    )


def phrase_of(name: str, experiment: Experiment, tasks: Tasks) -> str:
    """ "40 held-out tasks", where they are held out; "40 training tasks", "3 tasks of mine"."""
    count = number_of_tasks(tasks)
    noun = f"task{'s' * (count > 1)}"
    if name == HELD_OUT:
        return held_out_phrase(experiment.task_distribution, tasks)
    return f"{count} {name} {noun}" if name in (TRAINING, BEYOND) else f"{count} {noun} of {Path(name).name}"


def task_list(experiment: Experiment, name: str, arguments: argparse.Namespace) -> Tasks:
    """The tasks of a list by its name, or of a file.

    Raises:
        ConfigError: no such list, or a file without tasks of this environment.
    """
    if name in (HELD_OUT, BEYOND):
        return experiment.held_out_tasks(arguments.tasks, arguments.seed)
    if name == TRAINING:
        return experiment.training_tasks(arguments.tasks)
    if not Path(name).is_file():
        raise ConfigError(f"expected {HELD_OUT}, {TRAINING}, {BEYOND} or a JSON or YAML file of tasks")
    try:
        return read_tasks(name, experiment.task_distribution)
    except (OSError, ValueError) as error:
        raise ConfigError(str(error).removeprefix(f"{name}: ")) from error
