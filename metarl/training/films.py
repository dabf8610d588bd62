"""Films that training records: a held-out task before and after adaptation."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gymnasium.error import DependencyNotInstalled
from metarl_envs.tasks import unstack_tasks

from metarl.errors import ConfigError
from metarl.experiment.build import Experiment
from metarl.math.parameters import Parameters, select
from metarl.runs.acting import ActingPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.description import describe
from metarl.runs.files import FILMS, write_atomically
from metarl.runs.films import (
    captions_of,
    film_episode,
    frames_per_second,
    gif,
    make_filmed,
    mean_action,
    side_by_side,
)
from metarl.training.observers import Iteration, Observer

_SIZE = 320, 240
_FRAMES = 50  # of a film, about


class FilmRecorder(Observer):
    """films/iteration_000010.gif, ...: the first held-out task before and after adaptation, side by side.

    Raises:
        ConfigError: on the start of a run, a policy with memory, or pictures that cannot be drawn.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._every = int(experiment.config.training.record_video_every)

    def on_start(self, start: Checkpoint) -> None:
        if not start.iteration:
            self._record(start)

    def on_iteration(self, iteration: Iteration) -> None:
        if iteration.after.iteration % self._every == 0:
            self._record(iteration.after)

    def _record(self, checkpoint: Checkpoint) -> None:
        folder = Path(self._experiment.config.run_dir) / FILMS
        try:
            film = _film(self._experiment, checkpoint.state.parameters)
        except (ConfigError, DependencyNotInstalled) as error:
            raise ConfigError(f"training.record_video_every: {error}") from error
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"iteration_{checkpoint.iteration:06}.gif", film)


def film_recorders(experiment: Experiment) -> list[Observer]:
    """That of the config's `training.record_video_every`, if it is not 0."""
    return [FilmRecorder(experiment)] * bool(experiment.config.training.record_video_every)


def _film(experiment: Experiment, parameters: Parameters) -> bytes:
    config, settings = experiment.config, experiment.config.training
    tasks = experiment.held_out_tasks(1, config.seed)
    found = experiment.evaluate(
        parameters,
        tasks,
        episodes=int(settings.evaluation_episodes),
        steps=int(settings.evaluation_steps),
        seed=config.seed,
        where="film",
    )
    adapted = select(found.adapted.parameters, 0)
    (task,), horizon = unstack_tasks(tasks), int(config.environment.horizon)
    every = max(1, horizon // _FRAMES)
    env = make_filmed(config.environment.id, config.environment.options, _SIZE)
    with closing(env):
        before, after = (
            list(film_episode(env, mean_action(_acting(experiment, theta)), task, horizon, every=every))
            for theta in (parameters, {name: adapted[name] for name in parameters})
        )
        frames = side_by_side(before, after, captions_of(int(settings.evaluation_steps)))
        return gif(list(frames), every / frames_per_second(env))


def _acting(experiment: Experiment, parameters: Parameters) -> ActingPolicy:
    return ActingPolicy(describe(experiment), experiment.policy, parameters)
