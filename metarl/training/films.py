"""Films that training records: an evaluation task before and after adaptation."""

from __future__ import annotations

import sys
from pathlib import Path

from gymnasium.error import DependencyNotInstalled
from metarl_envs.tasks import unstack_tasks

from metarl.errors import ConfigError, TrainingError
from metarl.experiment.build import Experiment
from metarl.runs.captions import captions_of, gif, side_by_side
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.files import film_file, write_atomically
from metarl.training.observers import Iteration, Observer
from metarl.training.progress_bar import write_line
from metarl.training.tensorboard.films import SIZE, check_filmed, films
from metarl.training.tensorboard.recorder import TensorBoardRecorder

_FRAMES, _SECONDS = 50, 0.08


class FilmRecorder(Observer):
    """films/iteration_000010.gif, ...: the first evaluation task before and after adaptation, side by side.

    TensorBoard has them too. Where adaptation has a fault, there is no film, which is told, and training goes
    on.
    """

    def __init__(self, experiment: Experiment, board: TensorBoardRecorder) -> None:
        self._experiment = experiment
        self._board = board
        self._every = int(experiment.config.training.record_video_every)

    def on_start(self, start: Checkpoint) -> None:
        if not start.iteration:
            self._record(start)

    def on_iteration(self, iteration: Iteration) -> None:
        if iteration.after.iteration % self._every == 0:
            self._record(iteration.after)

    def _record(self, checkpoint: Checkpoint) -> None:
        path = film_file(Path(self._experiment.config.run_dir), checkpoint.iteration)
        try:
            film = self._film(checkpoint)
        except TrainingError as error:
            self._board.on_fault(checkpoint, error)
            write_line(f"error: no film: {error}", sys.stderr)
            return
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, film)
        self._board.record_film(checkpoint, film, (2 * SIZE[0], SIZE[1]))

    def _film(self, checkpoint: Checkpoint) -> bytes:
        experiment, parameters = self._experiment, checkpoint.state.parameters
        config, settings = experiment.config, experiment.config.training
        tasks = experiment.held_out_tasks(1, config.seed)
        found = experiment.evaluate(
            parameters,
            tasks,
            episodes=int(settings.evaluation_episodes),
            steps=int(settings.evaluation_steps),
            seed=config.seed,
            trials=1,
            where=f"film after {checkpoint.iteration} iterations",
        )
        (task,) = unstack_tasks(tasks)
        shown = films(experiment, parameters, found.first, task, _FRAMES)
        captions = captions_of(found.curve.points.last_text)
        return gif(list(side_by_side(shown.before, shown.after, captions)), _SECONDS)


def film_recorders(experiment: Experiment, board: TensorBoardRecorder) -> list[Observer]:
    """That of the config's `training.record_video_every`, if it is not 0."""
    return [FilmRecorder(experiment, board)] * bool(experiment.config.training.record_video_every)


def check_films(experiment: Experiment) -> None:
    """Checks that films can be drawn, if any are to be recorded.

    Raises:
        ConfigError: a policy with memory, or pictures that cannot be drawn.
    """
    if experiment.config.training.record_video_every:
        try:
            check_filmed(experiment)
        except (ConfigError, DependencyNotInstalled) as error:
            raise ConfigError(f"training.record_video_every: {error}") from error
