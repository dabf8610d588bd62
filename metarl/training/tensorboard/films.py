"""Frames and films of one task's episode, before and after adaptation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from metarl_envs.rendering.frames import Frame
from PIL import Image

from metarl.experiment.build import Experiment
from metarl.math.parameters import Parameters
from metarl.policies.policy import TaskState
from metarl.runs.acting import ActingPolicy
from metarl.runs.description import describe
from metarl.runs.films import film, film_episode, make_filmed, mean_action

SIZE = (320, 240)
"""Of a frame, pixels."""


class Films(NamedTuple):
    """Frames of the same task's episode, with the most likely actions."""

    before: Sequence[Frame]
    after: Sequence[Frame]


def films(
    experiment: Experiment, before: Parameters, after: TaskState, task: Mapping[str, Any], frames: int
) -> Films:
    """The films of a policy before and after adaptation.

    Args:
        before: the meta-parameters.
        after: `Evaluation.first`.
        frames: of a whole episode, at least, where it has so many steps.

    Raises:
        ConfigError: the environment draws no pictures.
        DependencyNotInstalled: there is no OpenGL.
    """
    config = experiment.config
    every = max(1, config.environment.horizon // frames)
    shown = (
        film(config, mean_action(acting), task, seed=config.seed, size=SIZE, every=every)
        for acting in (_acting(experiment, TaskState(before)), _acting(experiment, after))
    )
    return Films(*shown)


def check_filmed(experiment: Experiment) -> None:
    """Draws the first frame of an episode.

    Raises:
        ConfigError: an environment that draws no pictures.
        DependencyNotInstalled: there is no OpenGL.
    """
    environment = experiment.config.environment
    with closing(make_filmed(environment.id, environment.options, SIZE)) as env:
        list(film_episode(env, lambda observation, reward: env.action_space.sample(), None, length=0))


def picture(frame: Frame) -> bytes:
    """The frame as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


def _acting(experiment: Experiment, state: TaskState) -> ActingPolicy:
    return ActingPolicy(describe(experiment), experiment.policy, state.parameters, state.carry)
