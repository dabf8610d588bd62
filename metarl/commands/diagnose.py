"""Tells what limits the first inner step of a run's policy, or of a config's untrained one: its noise, its
length, its task or the way it explores. metarl diagnose RUN_DIR, or metarl diagnose CONFIG [--key value ..].
Nothing is trained or written, but for --json."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from metarl_envs.task_parameters import Array
from numpy.typing import NDArray

from metarl.adaptation.diagnosis import Diagnosis, diagnose, rollouts_of
from metarl.adaptation.faults import name_fault
from metarl.adaptation.statistics import interval_of
from metarl.commands.arguments import add_run_arguments, load_run
from metarl.commands.parser import CommandParser
from metarl.errors import ConfigError, MetaRLError, NonFiniteError, RunError
from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.environments import strata_of
from metarl.experiment.shipped import find_config
from metarl.math.parameters import Parameters
from metarl.policies.policy import remembers
from metarl.rollouts.random_keys import EVALUATION
from metarl.runs.tables import Table
from metarl.training.progress_bar import Progress


def main() -> int:
    arguments, overrides = read_arguments()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        if arguments.json and not arguments.json.parent.is_dir():
            raise RunError(f"--json: expected a file in a folder that exists, got {arguments.json}")
        experiment, parameters = subject(arguments, overrides)
        found, strata = measure(arguments, experiment, parameters)
    except (MetaRLError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    name = experiment.config.environment.id
    print(
        f"{name}, {arguments.run_dir}: {arguments.tasks} tasks, {arguments.episodes} episodes a step, "
        f"{arguments.rounds} rounds, {found.environment_steps:,} environment steps"
    )
    for heading, table in tables(found, arguments, strata).items():
        print(f"\n{heading}:\n\n{table.text()}")
    if arguments.json:
        arguments.json.write_text(json.dumps(as_data(found, arguments, name), indent=2) + "\n")
    return 0


def read_arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = CommandParser(description=__doc__)
    add_run_arguments(parser, what="folder of a run, zoo/NAME, hf://OWNER/NAME, or a config's name or file")
    parser.add_argument("--tasks", type=PositiveInt, default=20, help="held-out tasks, two or more (20)")
    parser.add_argument("--episodes", type=PositiveInt, default=20, help="episodes of every task (20)")
    parser.add_argument("--rounds", type=PositiveInt, default=8, help="fresh episodes, two or more times (8)")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="determines tasks and noise (0)")
    parser.add_argument("--json", type=Path, help="a file for everything measured")
    arguments, overrides = parser.parse_known_args()
    for name in ("tasks", "rounds"):
        if getattr(arguments, name) < 2:
            parser.error(f"--{name}: expected two or more, got {getattr(arguments, name)}")
    if is_run(arguments.run_dir) and overrides:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    return arguments, overrides


def is_run(place: Path) -> bool:
    """Whether it is a run's, and no config's."""
    return place.is_dir() or place.parts[:1] in {("zoo",), ("hf:",)} or place.suffix == ".safetensors"


def subject(arguments: argparse.Namespace, overrides: Sequence[str]) -> tuple[Experiment, Parameters]:
    """The experiment, and the meta-parameters to look at: a run's, or those that training would begin with.

    Raises:
        MetaRLError: no such run or config, or one that does not adapt by gradients.
    """
    if is_run(arguments.run_dir):
        policy = load_run(arguments)
        experiment, parameters = policy.experiment, policy.parameters
    else:
        device = [] if arguments.device == "auto" else ["--training.device", arguments.device]
        experiment = build_experiment(read_config(find_config(arguments.run_dir), [*overrides, *device]))
        generator = torch.Generator().manual_seed(experiment.config.seed)
        parameters = experiment.learner.initial_parameters(generator)
    if remembers(experiment.policy):
        raise ConfigError(
            f"{arguments.run_dir}: expected a learner that adapts by gradients, got "
            f"{experiment.config.meta_learner_name}, whose policy adapts by its memory: metarl evaluate has "
            "its returns by episode"
        )
    return experiment, {name: value.to(experiment.device) for name, value in parameters.items()}


def measure(
    arguments: argparse.Namespace, experiment: Experiment, parameters: Parameters
) -> tuple[Diagnosis, NDArray[np.int64] | None]:
    """What is found on held-out tasks, and their numbers where they are all that exist.

    Raises:
        TrainingError: something was not finite.
    """
    tasks = experiment.held_out_tasks(arguments.tasks, arguments.seed)
    space = experiment.action_space
    with (
        closing(experiment.sampler(arguments.tasks, arguments.episodes)) as sampler,
        Progress(rollouts_of(arguments.rounds), "rollout", quiet=arguments.quiet) as bar,
    ):
        try:
            found = diagnose(
                experiment.walk(sampler),
                parameters,
                tasks,
                (arguments.seed, 0, EVALUATION),
                rounds=arguments.rounds,
                bounds=(space.low.astype(np.float64), space.high.astype(np.float64)),
                progress=bar.advance,
            )
        except NonFiniteError as error:
            raise name_fault(error, experiment.config.environment.id, tasks, "diagnosis") from error
    return found, strata_of(experiment.task_distribution, tasks)


def tables(
    found: Diagnosis, arguments: argparse.Namespace, strata: NDArray[np.int64] | None
) -> dict[str, Table]:
    """By what they tell."""
    many = arguments.rounds * arguments.episodes
    signal, own = found.signal, found.lengths[1.0].returns

    def row(name: str, returns: Array) -> list[str]:
        gain = interval_of((returns - found.before)[None], strata)
        interval = "" if math.isnan(gain.low) else f"[{gain.low:+.1f}, {gain.high:+.1f}]"
        return [name, f"{returns.mean():.1f}", f"{gain.mean:+.1f}", interval]

    def lengths() -> Iterator[list[str]]:
        for scale, tried in found.lengths.items():
            yield [f"{scale:g}", f"{tried.kl:.3g}", *row("", tried.returns)[1:]]

    exploration = zip(found.std, found.outside, strict=True)
    return {
        "The first inner step's direction": Table(
            ["", "value"],
            [
                ["signal to noise, of squared lengths", _number(signal.ratio)],
                ["cosine of two rounds, about", _number(signal.cosine)],
                ["episodes for a ratio of 1, about", _episodes(arguments.episodes, signal.ratio)],
                ["of the signal, common to all tasks", _share(signal.common_share)],
            ],
        ),
        "Return": Table(
            ["", "mean", "gain", "95 %"],
            [
                ["before", f"{found.before.mean():.1f}", "", ""],
                row(f"after a step on {arguments.episodes} episodes", own),
                row(f"after the mean step of {many} episodes", found.exact),
                row("after another task's step", found.other),
            ],
        ),
        "Length of the step": Table(["times", "KL", "return", "gain", "95 %"], list(lengths())),
        "Exploration": Table(
            ["action", "std", "outside the box"],
            [[f"{i}", f"{std:.3g}", f"{share:.1%}"] for i, (std, share) in enumerate(exploration)],
        ),
    }


def as_data(found: Diagnosis, arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Everything measured, for a file; what is not known is None."""
    signal = found.signal
    asked = {key: getattr(arguments, key) for key in ("tasks", "episodes", "rounds", "seed")}
    derived = {"ratio": signal.ratio, "cosine": signal.cosine, "common_share": signal.common_share}
    return {
        "environment": name,
        "of": str(arguments.run_dir),
        **asked,
        "environment_steps": found.environment_steps,
        "signal": {
            key: value if math.isfinite(value) else None
            for key, value in {**signal._asdict(), **derived}.items()
        },
        "returns": {key: getattr(found, key).tolist() for key in ("before", "exact", "other")},
        "lengths": {
            f"{scale:g}": {"kl": tried.kl, "returns": tried.returns.tolist()}
            for scale, tried in found.lengths.items()
        },
        "std": found.std.tolist(),
        "outside": found.outside.tolist(),
    }


def _number(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.2g}"


def _share(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.0%}"


def _episodes(each: int, ratio: float) -> str:
    """How many have a ratio of 1: noise falls as their number."""
    if not ratio > 0:
        return "too many to tell"
    return f"{each / ratio:,.0f}" if ratio < each else "1 or fewer"
