"""A training on labelled examples in its folder: started, or resumed exactly where it stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch.utils._pytree import tree_map

from metarl.errors import NonFiniteError, RunError, TrainingError, check_kinds
from metarl.experiment.config import read_config, with_overrides
from metarl.experiment.experiments import SupervisedExperiment, supervised
from metarl.experiment.reading import Overrides, Source
from metarl.meta_learners.learner import LearnerState, named_tensors, with_tensors
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, write_checkpoint
from metarl.runs.files import CHECKPOINT, PROGRESS
from metarl.runs.folder import check_not_lost, find_run, hold_run_folder, make_run_folder
from metarl.supervised.evaluation import Scores
from metarl.supervised.examples import keyed_generator
from metarl.training.examples.build import Supervised, build_supervised
from metarl.training.examples.recording import Recording
from metarl.training.examples.results import find_scores, score_table, write_scores

_KINDS = {"overrides": (Mapping, Sequence, NoneType), "resume": (bool,), "quiet": (bool,)}
TASKS = 1
"""In random keys, [seed, purpose, iteration]: the tasks of training."""


def train_supervised(
    config: Source | SupervisedExperiment,
    *,
    overrides: Overrides | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Scores:
    """Trains on labelled examples in the config's run folder, and evaluates on the test split.

    An interrupt keeps every finished iteration: `resume` goes on from there, to the same bits.

    Args:
        config: a YAML file, the name of a shipped config such as "sinusoid/maml", the sections of one as a
            dict, or what `metarl.read_config` returns.
        overrides: values by their key, {"data.ways": 20}, or words as on the command line.
        resume: go on with the run in the folder, or start it where there is none.
        quiet: print nothing; otherwise a table of the iterations, and a progress bar.

    Returns:
        The scores on test tasks, which the folder `evaluation` keeps too.

    Raises:
        TypeError: an argument of another type.
        ConfigError: the config is wrong or learns a policy, the data cannot be had, or a section does not
            suit another.
        RunError: the folder holds another run, or one that is not to be resumed, or cannot be written.
        TrainingError: something was not finite.

    Examples:
        >>> import metarl
        >>> few = {"training.iterations": 2, "training.evaluation_tasks": 5}
        >>> metarl.train_supervised("sinusoid/maml", overrides=few, quiet=True).of_tasks.shape
        (5, 11)
    """
    check_kinds(_KINDS, locals())
    return _run(_read(config, overrides or ()), resume, quiet)


def _read(config: Source | SupervisedExperiment, overrides: Overrides) -> SupervisedExperiment:
    if not isinstance(config, SupervisedExperiment):
        return supervised(read_config(config, overrides))
    return supervised(with_overrides(config, overrides)) if overrides else config


def _run(config: SupervisedExperiment, resume: bool, quiet: bool) -> Scores:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads take whole tasks
    try:
        with hold_run_folder(Path(config.run_dir)):
            built = build_supervised(config)
            start = prepare(built, resume)
            with Recording(config, start.iteration, quiet) as recording:
                final = _train(built, start, recording)
                scores = _final_scores(built, final)
                recording.scores(final.iteration, "test", scores)
                _record_fits(built, final, recording)
            return scores
    finally:
        torch.set_num_threads(threads)


def score_text(config: SupervisedExperiment, scores: Scores) -> str:
    """The scores as a table, and how they were measured."""
    transductive = getattr(config.network, "transductive", None)
    how = {None: "", True: ", normalised by the queries (transductive)", False: ", normalised by the support"}
    title = f"Scores on {len(scores.of_tasks)} test tasks{how[transductive]}:"
    return f"{title}\n\n{score_table(scores).text()}\n"


def check(config: SupervisedExperiment) -> None:
    """Builds what training needs, and nothing more.

    Raises:
        ConfigError: as `train_supervised`.
    """
    build_supervised(config)


def finished_scores(config: SupervisedExperiment) -> Scores | None:
    """The scores of a run that was trained and evaluated to the config's end."""
    run_dir = Path(config.run_dir)
    if not (run_dir / CHECKPOINT).is_file():
        return None
    done = load_checkpoint(run_dir).iteration
    return find_scores(run_dir, protocol(config, done)) if done >= config.training.iterations else None


def prepare(built: Supervised, resume: bool) -> Checkpoint:
    """Makes the run folder, or reads its checkpoint; returns where to start.

    Raises:
        RunError: as `train_supervised`.
    """
    config = built.config
    run_dir = Path(config.run_dir)
    resumed = find_run(config, resume)
    if resumed:
        check_not_lost(run_dir)
    if resumed and (run_dir / CHECKPOINT).is_file():
        found = load_checkpoint(run_dir)
        make_run_folder(config)
        return _on_device(_resumed(found, built), built.device)
    (run_dir / PROGRESS).unlink(missing_ok=True)
    return replace(first_checkpoint(built), config_digest=make_run_folder(config))


def first_checkpoint(built: Supervised) -> Checkpoint:
    """Where training starts, of no run folder."""
    generator = torch.Generator().manual_seed(built.config.seed)
    state = built.learner.start(built.learner.initial_parameters(generator))
    return _on_device(Checkpoint(state, 0, 0, None), built.device)


def protocol(config: SupervisedExperiment, iterations: int) -> dict[str, Any]:
    """How the network at the end of a run is measured, as the run folder keeps it."""
    settings = config.training
    return {
        "split": "test",
        "tasks": int(settings.evaluation_tasks),
        "steps": int(settings.evaluation_steps),
        "seed": config.seed,
        "iterations": iterations,
        "transductive": getattr(config.network, "transductive", None),
    }


def _train(built: Supervised, start: Checkpoint, recording: Recording) -> Checkpoint:
    config = built.config
    run_dir, settings = Path(config.run_dir), config.training
    current, saved = start, None
    try:
        while current.iteration < settings.iterations:
            current, metrics = iterate(built, current)
            due = settings.evaluate_every and current.iteration % int(settings.evaluate_every) == 0
            validation = built.evaluate(current.state.parameters, "validation") if due else None
            recording.iteration(current.iteration - 1, metrics, validation)
            if due and current.iteration < settings.iterations:  # the last one's come with its scores
                _record_fits(built, current, recording)
            if current.iteration % int(settings.checkpoint_every) == 0:
                write_checkpoint(run_dir / CHECKPOINT, current)
                saved = current
    finally:
        if current is not saved:
            write_checkpoint(run_dir / CHECKPOINT, current)
    return current


def iterate(built: Supervised, current: Checkpoint) -> tuple[Checkpoint, Mapping[str, float]]:
    """One outer update on tasks that follow from the seed and the iteration; its row of progress.csv.

    Raises:
        TrainingError: something was not finite.
    """
    config, number, started = built.config, current.iteration, time.perf_counter()
    generator = keyed_generator(config.seed, TASKS, number)
    drawn = built.source.draw("train", int(config.training.tasks), generator)
    episodes = tree_map(lambda tensor: tensor.to(built.device), drawn)
    try:
        update = built.learner.update(current.state, episodes)
    except NonFiniteError as error:
        name = config.names["learner"]
        raise TrainingError(
            f"{name}, iteration {number}: {error}; try a smaller learner.adam.learning_rate"
        ) from error
    metrics = {f"update/{name}": value for name, value in update.metrics.items()}
    metrics["time/iteration_seconds"] = time.perf_counter() - started
    return replace(current, state=update.state, iteration=number + 1), metrics


def _final_scores(built: Supervised, final: Checkpoint) -> Scores:
    config = built.config
    run_dir, how = Path(config.run_dir), protocol(config, final.iteration)
    if known := find_scores(run_dir, how):
        return known
    scores = built.evaluate(final.state.parameters, "test")
    write_scores(run_dir, scores, how, built.fits(final.state.parameters))
    return scores


def _record_fits(built: Supervised, current: Checkpoint, recording: Recording) -> None:
    fits = built.fits(current.state.parameters)
    if fits is not None:
        recording.fits(current.iteration, fits)


def _resumed(found: Checkpoint, built: Supervised) -> Checkpoint:
    """The checkpoint whose optimiser's tensors are in the learner's own form."""
    parameters, named = found.state.parameters, named_tensors(found.state.optimiser)
    fresh = built.learner.start(parameters)
    try:
        optimiser = with_tensors(fresh.optimiser, named)
    except KeyError as error:
        raise RunError(f"{CHECKPOINT}: expected the state of this learner, found no {error}") from error
    return replace(found, state=LearnerState(parameters, optimiser))


def _on_device(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    state = checkpoint.state
    parameters, optimiser = tree_map(lambda tensor: tensor.to(device), (state.parameters, state.optimiser))
    return replace(checkpoint, state=LearnerState(parameters, optimiser))
