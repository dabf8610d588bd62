"""Trains a meta-policy: metarl train CONFIG [--run_dir DIR] [--resume true] [--section.key value ...], where
CONFIG is a YAML file or the name of a shipped one, e.g. quickstart. Ctrl-C keeps every finished iteration.
Several seeds, or every combination of swept values, train one after another, each in a folder of its own in
the run folder: --seeds 1 2 3 --sweep meta_learner.inner_step_size=0.1,0.2; stopped, --resume true goes on.
Processes on one machine or many share out the tasks: torchrun --nproc_per_node 4 -m metarl train CONFIG."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from jsonargparse.typing import PositiveInt

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.points import Points
from metarl.commands.parser import CommandParser
from metarl.commands.train_help import print_keys
from metarl.compute.ranks import RANK_SECONDS, joined_ranks
from metarl.compute.reduction import Reduction
from metarl.errors import ConfigError, MetaRLError, RanksError
from metarl.experiment.config import read_config
from metarl.experiment.environments import held_out_phrase, task_distribution
from metarl.experiment.experiments import (
    AnyExperiment,
    ExperimentConfig,
    ScratchExperiment,
    SupervisedExperiment,
    meta_learned,
)
from metarl.experiment.shipped import shipped_configs
from metarl.policies.policy import has_memory
from metarl.policies.registry import find_policy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.files import EVALUATION, PROGRESS, RESULTS
from metarl.runs.folder import find_run
from metarl.training.api import train
from metarl.training.next_commands import CHARTS, charts_command, next_commands, resume_command
from metarl.training.observers import Evaluated, Iteration, Observer
from metarl.training.on_demand import examples_room
from metarl.training.progress_bar import add_quiet, write_line
from metarl.training.run_training import format_curve
from metarl.training.scratch import train_from_scratch
from metarl.training.several_runs import Outcome, find_outcome, format_outcomes, plan_runs, run_all
from metarl.training.sweeps import add_sweeps, read_seeds, read_sweeps


def main() -> int:
    parser = CommandParser(description=__doc__, add_help=False)
    parser.add_argument("-h", "--help", action="store_true", help="show this, and every key of a config")
    parser.add_argument("--config", help="a YAML file, or the name of a shipped config")
    parser.add_argument("--resume", choices=("true", "false"), default="false", help="go on with the run")
    add_sweeps(parser)
    add_quiet(parser)
    parser.add_argument(
        "--rank_seconds",
        type=PositiveInt,
        default=RANK_SECONDS,
        help="how long a process of several waits for the others",
    )
    words = sys.argv[1:]
    if words and not words[0].startswith("-"):
        words = ["--config", *words]
    if sum(word.partition("=")[0] == "--config" for word in words) > 1:
        parser.error("argument --config: expected one config, got several")
    arguments, overrides = parser.parse_known_args(words)
    if arguments.help:
        parser.print_help()
        return print_keys(arguments.config, overrides)
    if arguments.config is None:
        parser.error(f"expected a config: a file, or one of {shipped_configs()}, got nothing")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ranks = Reduction()
    try:
        with joined_ranks(arguments.rank_seconds) as ranks:
            return train_here(arguments, overrides, ranks)
    except KeyboardInterrupt:
        if not ranks.first:
            return 130
        command = resume_command(same_again(arguments, overrides))
        print(f"\nStopped; every finished iteration or task is kept. Go on with:\n  {command}")
        return 130
    except MetaRLError as error:
        teller = 0 if isinstance(error, RanksError) else error.rank
        if teller in (None, ranks.rank):
            print(f"error: {error}", file=sys.stderr)
        return 2


def train_here(arguments: argparse.Namespace, overrides: list[str], ranks: Reduction) -> int:
    """Trains what was asked for, and prints what it came to on the first rank."""
    if arguments.seeds or arguments.sweep:
        ranks.together(lambda: check_alone(ranks, "--seeds, --sweep: expected one run", "several"))
        return train_several(arguments, overrides)
    resume = arguments.resume == "true"
    config = ranks.together(lambda: read_config(arguments.config, overrides))
    if isinstance(config, ScratchExperiment):
        ranks.together(lambda: check_alone(ranks, "from_scratch: expected a meta-learner", "another learner"))
    if isinstance(config, SupervisedExperiment):
        ranks.together(lambda: check_alone(ranks, "learner: expected a meta_learner", "another learner"))
    finished = ranks.first and resume and find_run(config, resume) and find_outcome(config) is not None
    if ranks.agree(finished):
        text = finished_text(config)
    elif ranks.first:
        text = learn(config, resume, arguments.quiet)[1]
    else:
        train(meta_learned(config), resume=resume, quiet=True)
    if ranks.first:
        print(text)
    return 0


def check_alone(ranks: Reduction, expected: str, got: str) -> None:
    """Refuses what several ranks do not share out."""
    if ranks.size > 1:
        raise ConfigError(f"{expected} for {ranks.size} ranks, got {got}; use one process for each")


def finished_text(config: AnyExperiment) -> str:
    """That nothing is left to be done, and how there would be."""
    return (
        f"The run in {config.run_dir} is finished and evaluated: its table is in "
        f"{Path(config.run_dir) / EVALUATION}. More --training.iterations train it further."
    )


def same_again(arguments: argparse.Namespace, overrides: list[str]) -> list[str]:
    """The words of the command but for its `--resume`."""
    sweeps = [word for text in arguments.sweep for word in ("--sweep", text)]
    seeds = ["--seeds", *map(str, arguments.seeds)] if arguments.seeds else []
    return [arguments.config, *overrides, *sweeps, *seeds, *["--quiet"] * arguments.quiet]


def train_several(arguments: argparse.Namespace, overrides: list[str]) -> int:
    """Trains all seeds and variants, and prints a table of them; 1 if a run broke down."""
    resume, quiet = arguments.resume == "true", arguments.quiet
    seeds = read_seeds(arguments.seeds) if arguments.seeds else []
    runs = plan_runs(arguments.config, overrides, seeds, read_sweeps(arguments.sweep))
    show = (lambda line: None) if quiet else write_line
    outcomes, failures = run_all(runs, resume, lambda config: learn(config, resume, quiet)[0], show)
    if outcomes:
        one = next(iter(runs.values()))
        between = _trial_episodes(one)
        what = "Scores" if isinstance(one, SupervisedExperiment) else "Return on evaluation tasks"
        print(f"\n{what}, by {Points(1, between).counted}:\n\n{format_outcomes(outcomes, between)}")
        print(f"\nEach run is in a folder of its own in {Path(one.run_dir).parent}. Now:")
        print(f"  {charts_command(Path(one.run_dir))}   # then {CHARTS}")
    for name, error in failures.items():
        print(f"error: {name} broke down: {error}", file=sys.stderr)
    return 1 if failures else 0


def _trial_episodes(config: AnyExperiment) -> int | None:
    """As of `Points`: the episodes between two returns of a policy with memory."""
    if isinstance(config, ExperimentConfig) and has_memory(find_policy(config.policy.name)):
        return int(config.training.evaluation_episodes)
    return None


def learn(config: AnyExperiment, resume: bool, quiet: bool) -> tuple[Outcome, str]:
    """What a run came to, in short and as a text."""
    if isinstance(config, ScratchExperiment):
        return learn_from_scratch(config, resume, quiet)
    if isinstance(config, SupervisedExperiment):
        return learn_examples(config, resume, quiet)
    return meta_learn(config, resume, quiet)


class Summary(Observer):
    """What a training came to: its length, its last evaluation, and the updates that were rejected."""

    curve: AdaptationCurve

    def on_start(self, start: Checkpoint) -> None:
        self.end = start
        self.updates = self.rejected = 0

    def on_iteration(self, iteration: Iteration) -> None:
        self.end = iteration.after
        self.updates += 1
        self.rejected += iteration.metrics.get("update/accepted", 1.0) < 1

    def on_evaluation(self, evaluated: Evaluated) -> None:
        self.curve = evaluated.curve


def meta_learn(config: ExperimentConfig, resume: bool, quiet: bool) -> tuple[Outcome, str]:
    summary = Summary()
    policy = train(config, observers=[summary], resume=resume, quiet=quiet)
    curve, end = summary.curve, summary.end
    tasks = held_out_phrase(policy.experiment.task_distribution, curve.tasks)
    measured = f", each on {config.training.evaluation_episodes} episodes"
    each = measured if curve.points.trial_episodes is None else ""
    text = f"\nReturn on {tasks}, by {curve.points.counted}{each}:\n\n{format_curve(curve)}\n"
    if summary.rejected:
        where = f"update/rejection in {config.run_dir}/{PROGRESS} says why"
        share = f"{summary.rejected} of {summary.updates} updates"
        text += f"\n{share} were rejected and changed nothing; {where}.\n"
    run_dir = Path(config.run_dir)
    commands = "\n  ".join(next_commands(policy.experiment))
    length = f"{end.iteration} iteration{'s' * (end.iteration != 1)}"
    text += (
        f"\nTrained for {length}, {end.environment_steps:,} environment steps. "
        f"The table is in {run_dir / EVALUATION}. Now:\n"
        f"  {charts_command(run_dir)}   # then {CHARTS}\n"
        f"  {commands}"
    )
    return Outcome(end.environment_steps, curve.mean.tolist()), text


def learn_from_scratch(config: ScratchExperiment, resume: bool, quiet: bool) -> tuple[Outcome, str]:
    training = config.training
    result = train_from_scratch(config, resume=resume, quiet=quiet)
    learned = held_out_phrase(task_distribution(config), result.curve.tasks)
    inner_step = training.evaluation_episodes * config.environment.horizon
    text = (
        f"\nReturn on {learned}, by number of inner steps, each as {inner_step:,} "
        f"environment steps of learning:\n\n{format_curve(result.curve)}\n"
        f"\n{'environment steps':>18}{'seconds':>10}{'mean return':>14}   a task\n"
    )
    for steps, seconds, returns in zip(result.environment_steps, result.seconds, result.returns, strict=True):
        text += f"{steps:>18,}{seconds.mean():>10.2f}{returns.mean():>14.2f}\n"
    text += (
        f"\nIn all {result.total_environment_steps:,} environment steps, {result.total_seconds:.0f} s of "
        f"learning. Every task's results are in {config.run_dir}/{RESULTS}, the table by inner steps in "
        f"{config.run_dir}/{EVALUATION}"
    )
    return Outcome(result.total_environment_steps, result.curve.mean.tolist()), text


def learn_examples(config: SupervisedExperiment, resume: bool, quiet: bool) -> tuple[Outcome, str]:
    room, run_dir = examples_room(), Path(config.run_dir)
    if not quiet:
        what = " ".join(f"{section} {name}," for section, name in config.names.items())
        write_line(f"{what} run folder {run_dir}")
    scores = room.train_supervised(config, resume=resume, quiet=quiet)
    text = (
        f"\n{room.score_text(config, scores)}\nThe table is in {run_dir / EVALUATION}. Now:\n"
        f"  {charts_command(run_dir)}"
    )
    return Outcome(None, scores.told.tolist()), text
