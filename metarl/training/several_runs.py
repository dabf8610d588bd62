"""Several runs of one config, one after another, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from metarl.adaptation.points import Points
from metarl.errors import ConfigError, TrainingError
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.experiments import AnyExperiment, ScratchExperiment, SupervisedExperiment
from metarl.experiment.reading import Source
from metarl.from_scratch.model import check_from_scratch
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import CHECKPOINT
from metarl.runs.folder import find_run
from metarl.runs.results import find_means
from metarl.training.on_demand import examples_room
from metarl.training.run_training import evaluation_protocol
from metarl.training.sweeps import Variant, variant_name, variant_words


@dataclass(frozen=True)
class Outcome:
    """What a run came to: environment steps taken, None without an environment, and mean returns, or scores,
    on evaluation tasks, [step + 1]."""

    environment_steps: int | None
    returns: Sequence[float]


Learn = Callable[[AnyExperiment], Outcome]
"""Trains a run, or goes on with it."""


def plan_runs(
    config: Source, words: Sequence[str], seeds: Sequence[int], variants: Sequence[Variant]
) -> dict[str, AnyExperiment]:
    """The configs of all variants and seeds by their names, with folders of these names in the run folder.

    Raises:
        ConfigError: a config is wrong, or a variant sets what names the runs.
    """
    for key in ("run_dir", *["seed"] * bool(seeds)):
        if key in variants[0]:
            raise ConfigError(f"--sweep: expected a key of the runs' own, got {key}, which tells them apart")
    folder = Path(read_config(config, words).run_dir)
    seeded = [{**variant, "seed": str(seed)} for variant in variants for seed in seeds]
    named = {variant_name(values): values for values in seeded or variants}
    return {
        name: read_config(config, [*words, *variant_words({**values, "run_dir": folder / name})])
        for name, values in named.items()
    }


def run_all(
    runs: dict[str, AnyExperiment], resume: bool, learn: Learn, show: Callable[[str], None]
) -> tuple[dict[str, Outcome], dict[str, TrainingError]]:
    """What every run came to, and which ones broke down, by their names.

    Args:
        resume: go on with runs that were begun, and leave finished ones as they are.
        learn: called with every run that is not finished, in turn.
        show: called with a line before each.

    Raises:
        RunError: before anything is trained, a folder that holds another run, or one not to be resumed.
        ConfigError: before anything is trained, a config that cannot be built.
    """
    for config in runs.values():
        _check(config, resume)
    outcomes: dict[str, Outcome] = {}
    failures: dict[str, TrainingError] = {}
    for number, (name, config) in enumerate(runs.items(), start=1):
        finished = find_outcome(config) if resume else None
        show(f"Run {number} of {len(runs)}, {name}{': finished before' * (finished is not None)}")
        try:
            outcomes[name] = finished or learn(config)
        except TrainingError as error:
            failures[name] = error
            show(f"{name} broke down: {error}")
    return outcomes, failures


def _check(config: AnyExperiment, resume: bool) -> None:
    find_run(config, resume)
    if isinstance(config, ScratchExperiment):
        check_from_scratch(config)
    elif isinstance(config, SupervisedExperiment):
        examples_room().check(config)
    else:
        build_experiment(config)


def find_outcome(config: AnyExperiment) -> Outcome | None:
    """What a meta-learner's run came to, if it was trained and evaluated to the config's end."""
    if isinstance(config, SupervisedExperiment):
        scores = examples_room().finished_scores(config)
        return None if scores is None else Outcome(None, scores.told.tolist())
    run_dir, settings = Path(config.run_dir), config.training
    if isinstance(config, ScratchExperiment) or not (run_dir / CHECKPOINT).is_file():
        return None
    done = load_checkpoint(run_dir)
    if not settings.is_done(done.iteration, done.environment_steps):
        return None
    protocol = evaluation_protocol(config, done)
    means = find_means(run_dir, protocol, settings.evaluation_tasks, settings.evaluation_steps)
    return None if means is None else Outcome(done.environment_steps, means)


def format_outcomes(outcomes: dict[str, Outcome], trial_episodes: int | None = None) -> str:
    """A table: a line for each run, with its environment steps and its returns by number of inner steps.

    Args:
        trial_episodes: as of `Points`, of policies with memory.
    """
    width = max(map(len, ["run", *outcomes]))
    points = Points(max((len(one.returns) for one in outcomes.values()), default=0), trial_episodes)
    titles = [points.text(point) for point in range(points.count)]
    taken = {
        name: one.environment_steps for name, one in outcomes.items() if one.environment_steps is not None
    }
    header = f"{'environment steps':>20}" if taken else ""
    lines = [f"{'run':<{width}}{header}" + "".join(f"{title:>16}" for title in titles)]
    for name, one in outcomes.items():
        returns = "".join(f"{value:>16.2f}" for value in one.returns)
        lines.append(f"{name:<{width}}" + (f"{taken[name]:>20,}" if name in taken else "") + returns)
    return "\n".join(lines)
