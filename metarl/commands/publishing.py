"""A meta-policy made ready to be given to others: its policy file, its config and a card with its returns."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from jsonargparse.typing import PositiveInt

from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments, load_run
from metarl.experiment.config import read_config
from metarl.experiment.environments import held_out_phrase
from metarl.experiment.experiments import ExperimentConfig
from metarl.experiment.shipped import CONFIGS, shipped_configs
from metarl.policies.policy import episodes_a_point
from metarl.runs.card import Card, read_card, write_card
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CARD, CHECKPOINT, CONFIG
from metarl.runs.meta_policy import MetaPolicy
from metarl.runs.places import find_place
from metarl.runs.policy_file import PolicyFile
from metarl.runs.run_config import difference_but_seed, load_run_config
from metarl.runs.saved import save_apart
from metarl.training.progress_bar import Progress
from metarl.training.tensorboard.card import versions


def add_card_arguments(parser: argparse.ArgumentParser, *, licence: str) -> None:
    """The run, and how its card comes about."""
    add_run_arguments(parser)
    parser.add_argument("--tasks", type=PositiveInt, default=20, help="evaluation tasks (20)")
    add_adaptation_arguments(parser, steps=3, episodes="episodes of every task and step")
    parser.add_argument(
        "--licence", default=licence, help=f"its SPDX name, for the card ({licence or 'none'})"
    )


def write_entry(arguments: argparse.Namespace, folder: Path, place: str) -> Card:
    """Writes policy, config and card of a meta-policy into a folder.

    The policy of a training run is evaluated for the card; one from elsewhere has its card.

    Args:
        place: from where others will load it.

    Raises:
        MetaRLError: no run, or one that cannot be evaluated; no card; or the folder cannot be written.
    """
    policy = load_run(arguments)
    source = find_place(arguments.run_dir)
    trained_here = (source / CHECKPOINT).is_file() or not (source / CARD).is_file()
    card = card_of(arguments, policy, source) if trained_here else read_card(source)
    description = replace(policy.description, kind="meta_policy")
    config = replace(policy.experiment.config, run_dir=f"runs/{place.rpartition('/')[2]}")
    save_apart(folder, PolicyFile(policy.parameters, None, description), config)
    write_card(folder, card, place)
    return card


def card_of(arguments: argparse.Namespace, policy: MetaPolicy, run_dir: Path) -> Card:
    """The card of a training run, whose policy is evaluated for it.

    Raises:
        MetaRLError: no training run, or one that cannot be evaluated.
    """
    trained, experiment = load_checkpoint(run_dir), policy.experiment
    given = {**vars(arguments), "episodes": arguments.episodes or episodes_a_point(type(policy.policy))}
    evaluation = {key: int(given[key]) for key in ("tasks", "episodes", "steps", "seed")}
    tasks = experiment.held_out_tasks(evaluation["tasks"], evaluation["seed"])
    with Progress(evaluation["steps"] + 1, "rollout", quiet=arguments.quiet) as bar:
        curve = experiment.evaluate(
            policy.parameters,
            tasks,
            episodes=evaluation["episodes"],
            steps=evaluation["steps"],
            seed=evaluation["seed"],
            progress=bar.advance,
        ).curve
    means, low, high = zip(*curve.intervals, strict=True)
    return Card(
        environment=policy.description.environment,
        algorithm=experiment.config.meta_learner_name,
        seed=experiment.config.seed,
        iterations=trained.iteration,
        environment_steps=trained.environment_steps,
        command=training_command(run_dir, trained.iteration, trust=arguments.trust),
        made_with=versions()["metarl"],
        tasks=held_out_phrase(experiment.task_distribution, tasks),
        evaluation=evaluation,
        mean_return=means,
        low_95=low,
        high_95=high,
        licence=arguments.licence,
        trial_episodes=curve.trial_episodes,
    )


def training_command(run_dir: Path, iterations: int, *, trust: bool = False) -> str:
    """What trains a run again for so many iterations: the shipped config that it is of, or its own.

    A shipped one may record, evaluate and end otherwise: what is learned does not follow from that.

    Raises:
        RunError: the run's config cannot be read.
    """
    config = load_run_config(run_dir, trust=trust)
    words, planned = ["metarl", "train", CONFIG], config.training.iterations
    environment = config.as_dict().get("environment", {}).get("id", "")
    for name in shipped_configs():
        path = CONFIGS / f"{name}.yaml"
        if environment not in path.read_text():
            continue
        shipped = read_config(path)
        if not isinstance(shipped, ExperimentConfig):
            continue
        recorded = {key: getattr(config.training, key) for key in shipped.training.changeable}
        alike = replace(shipped, training=replace(shipped.training, **recorded))
        if difference_but_seed(alike, config) is None:
            words = ["metarl", "train", name, "--seed", str(config.seed)]
            planned = shipped.training.iterations
            break
    if iterations != planned:
        words += ["--training.iterations", str(iterations)]
    return shlex.join(words)
