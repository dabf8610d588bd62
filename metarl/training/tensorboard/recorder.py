"""What of a training goes into its event files, as it happens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import Error as GymnasiumError
from metarl_envs.tasks import unstack_tasks

from metarl.adaptation.evaluation import Evaluation
from metarl.adaptation.figures.curves import training_figure
from metarl.adaptation.figures.of_evaluation import evaluation_figures
from metarl.adaptation.figures.style import png
from metarl.adaptation.points import Points
from metarl.errors import MetaRLError
from metarl.experiment.build import Experiment
from metarl.experiment.environments import family_of, list_name, strata_of
from metarl.policies.policy import remembers
from metarl.runs.checkpoint import Checkpoint
from metarl.training.observers import Evaluated, Iteration, Observer
from metarl.training.tensorboard.card import card, config_text
from metarl.training.tensorboard.events import EventWriter, has_events
from metarl.training.tensorboard.films import Films, films, picture
from metarl.training.tensorboard.glossary import describe
from metarl.training.tensorboard.groups import (
    ADAPTATION,
    CARD,
    FAULT,
    HEALTH,
    REJECTION,
    RESOURCES,
    SETTINGS,
)
from metarl.training.tensorboard.history import NOTHING_HELD, read_history
from metarl.training.tensorboard.layout import page_layout
from metarl.training.tensorboard.resources import memory
from metarl.training.tensorboard.settings import every_learners_settings, hyperparameters
from metarl.training.tensorboard.strip import strip
from metarl.training.tensorboard.tags import (
    evaluation_point,
    evaluation_points,
    iteration_points,
    return_tag,
)

_STRIP_FRAMES = 4
_FILMED_BETWEEN = 8
"""Frames of a film from one frame of the strip to the next: its distances are even to an eighth."""


class TensorBoardRecorder(Observer):
    """A run's event files; everything is on one axis of environment steps.

    Of a run that is resumed, what comes again is hidden, and nothing else: every step is there once.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._config = experiment.config
        self._run_dir = Path(experiment.config.run_dir)

    def on_start(self, start: Checkpoint) -> None:
        there, steps = has_events(self._run_dir), start.environment_steps
        self._first_step = steps
        known = there and start.iteration > 0
        held = read_history(self._run_dir, steps) if there else NOTHING_HELD
        self._history = held.evaluations if known else []
        first_hidden = steps + 1 if known else 0
        self._events = EventWriter(self._run_dir, first_hidden if there else None, describe)
        self._tags, self._layout = set(held.tags), page_layout(())
        self._lay_out()
        remembering = remembers(self._experiment.policy)
        between = int(self._config.training.evaluation_episodes) if remembering else None
        points = Points(self._config.training.evaluation_steps + 1, between)
        returns = [return_tag(points, point) for point in range(points.count)]
        metrics = [f"{ADAPTATION}/{name}" for name in ("return_after", "gain", "return_before", *returns)]
        own = hyperparameters(self._config.as_dict())
        self._events.settings(own, every_learners_settings(), metrics)
        if not held.has_card:
            self._events.text(CARD, card(self._experiment), steps)
            self._events.text(SETTINGS, config_text(self._config), steps)
        self._events.flush()

    def on_iteration(self, iteration: Iteration) -> None:
        step = iteration.environment_steps
        used = {f"{RESOURCES}/{name}": value for name, value in memory().items()}
        self._write({**iteration_points(iteration.metrics), **used}, step)
        if iteration.rejection:
            self._events.text(REJECTION, f"Iteration {iteration.number}: {iteration.rejection}", step)
        self._events.flush()

    def on_evaluation(self, evaluated: Evaluated) -> None:
        """Writes what an evaluation found; of the final one frames of an episode of its first task, too."""
        seen, checkpoint = len(self._history), evaluated.checkpoint
        self._record(checkpoint, evaluated.evaluation)
        if evaluated.final:
            is_new = len(self._history) > seen or checkpoint.environment_steps > self._first_step
            self._record_end(checkpoint, evaluated.evaluation, is_new)
        self._events.flush()

    def _record(self, checkpoint: Checkpoint, evaluation: Evaluation) -> None:
        """One of the same step was the same."""
        step = checkpoint.environment_steps
        if any(point.environment_steps == step for point in self._history):
            return
        strata = strata_of(self._experiment.task_distribution, evaluation.curve.tasks)
        point = evaluation_point(evaluation, step, strata)
        self._history.append(point)
        self._write(evaluation_points(evaluation, point, strata), step)
        if self._config.training.figures:
            self._draw(checkpoint, evaluation)
        self._events.flush()

    def record_film(self, checkpoint: Checkpoint, film: bytes, size: tuple[int, int]) -> None:
        """Writes a film of an evaluation's first task, a GIF of so many pixels."""
        self._events.image(f"{ADAPTATION}/film", film, size, checkpoint.environment_steps)
        self._events.flush()

    def on_fault(self, checkpoint: Checkpoint, error: MetaRLError) -> None:
        """Writes that, and why, an evaluation could not be had."""
        self._events.text(FAULT, str(error), checkpoint.environment_steps)

    def _record_end(self, checkpoint: Checkpoint, evaluation: Evaluation, is_new: bool) -> None:
        if is_new and self._config.training.figures:
            family = family_of(self._config)
            if family and family.scene:
                self._frames(checkpoint, evaluation)
        self._events.end_settings()

    def on_end(self) -> None:
        self._events.close()

    def _write(self, points: Mapping[str, float], step: int) -> None:
        for tag, value in points.items():
            self._events.scalar(tag, value, step)
        self._tags.update(points)
        self._lay_out()

    def _lay_out(self) -> None:
        """Shows on the page Custom Scalars what there is to show by now."""
        layout = page_layout(self._tags)
        if layout != self._layout:
            self._events.layout(layout)
            self._layout = layout

    def _draw(self, checkpoint: Checkpoint, evaluation: Evaluation) -> None:
        where = f"after {checkpoint.iteration} iterations"
        acted = self._experiment.policy, checkpoint.state.parameters
        tasks = list_name(self._experiment.task_distribution, evaluation.curve.tasks)
        figures = evaluation_figures(evaluation, *acted, family_of(self._config), where, tasks)
        figures["return_over_training"] = training_figure(
            self._history, "Return over training", tasks, evaluation.curve.trial_episodes
        )
        for name, figure in figures.items():
            group = HEALTH if name == "learned_step_sizes" else ADAPTATION
            width, height = figure.get_size_inches() * figure.dpi
            size = round(width), round(height)
            self._events.image(f"{group}/{name}", png(figure), size, checkpoint.environment_steps)

    def _frames(self, checkpoint: Checkpoint, evaluation: Evaluation) -> None:
        shown = self._filmed(checkpoint, evaluation, (_STRIP_FRAMES - 1) * _FILMED_BETWEEN)
        if shown is not None:
            captions = ("before", "after adaptation")
            rows = [strip(frames, _STRIP_FRAMES, name) for frames, name in zip(shown, captions, strict=True)]
            frame = np.concatenate(rows)
            size = frame.shape[1], frame.shape[0]
            self._events.image(f"{ADAPTATION}/frames", picture(frame), size, checkpoint.environment_steps)

    def _filmed(self, checkpoint: Checkpoint, evaluation: Evaluation, frames: int) -> Films | None:
        """Films of the first task; None, and a note, where none can be drawn."""
        task: Mapping[str, Any] = next(unstack_tasks(evaluation.curve.tasks))
        try:
            return films(self._experiment, checkpoint.state.parameters, evaluation.first, task, frames)
        except (MetaRLError, GymnasiumError) as error:
            self._events.text(FAULT, f"No pictures: {error}", checkpoint.environment_steps)
            return None
