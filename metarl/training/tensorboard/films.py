"""Frames and films of one held-out task's episode, before and after adaptation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from metarl_envs.rendering.frames import Frame
from numpy.typing import NDArray
from PIL import Image

from metarl.experiment.build import Experiment
from metarl.math.parameters import Parameters, kind
from metarl.policies.policy import remembers
from metarl.rollouts.episodes import within
from metarl.runs.films import Act, film

SIZE = (320, 240)
"""Of a frame, pixels."""
_MILLISECONDS = 80


class Films(NamedTuple):
    """Frames of the same task's episode, with the most likely actions."""

    before: Sequence[Frame]
    after: Sequence[Frame]


def films(
    experiment: Experiment, before: Parameters, after: Parameters, task: Mapping[str, Any], frames: int
) -> Films:
    """The films of a policy with the parameters before and after adaptation.

    Args:
        frames: of a whole episode, at least, where it has so many steps.

    Raises:
        ConfigError: the environment draws no pictures.
        DependencyNotInstalled: there is no OpenGL.
    """
    config = experiment.config
    every = max(1, config.environment.horizon // frames)
    shown = (
        film(config, _acting(experiment, parameters), task, seed=config.seed, size=SIZE, every=every)
        for parameters in (before, after)
    )
    return Films(*shown)


def can_be_filmed(experiment: Experiment) -> bool:
    """Whether the policy acts by an observation alone, as films ask it to."""
    return not remembers(experiment.policy)


def gif(frames: Sequence[Frame]) -> bytes:
    """The frames as a film that repeats."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=_MILLISECONDS, loop=0)
    return file.getvalue()


def picture(frame: Frame) -> bytes:
    """The frame as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


def _acting(experiment: Experiment, parameters: Parameters) -> Act:
    dtype, device = kind(parameters)

    def act(observation: NDArray[Any]) -> NDArray[Any]:
        flat = torch.as_tensor(np.ravel(observation), dtype=dtype, device=device).unsqueeze(0)
        with torch.inference_mode():
            action = experiment.policy(parameters, flat).mode[0]
        return within(experiment.action_space, action.cpu().numpy())

    return act
