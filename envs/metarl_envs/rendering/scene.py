"""How a family is drawn: data alone, without OpenGL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import mujoco


@dataclass(frozen=True)
class Camera:
    """Where the camera stands.

    Args:
        tracked_body: name of the body whose x and y the camera follows; None for a camera that stands still.
        lookat: the place in the picture's middle, m; with a tracked body, x and y are relative to it.
        distance: from there, m; markers and arrows grow with it.
        azimuth, elevation: the view's direction, degrees; 90 and 0 look along +y, so that +x is right.
    """

    tracked_body: str | None = None
    lookat: tuple[float, float, float] = (0.0, 0.0, 0.5)
    distance: float = 4.0
    azimuth: float = 90.0
    elevation: float = -15.0


@dataclass(frozen=True)
class Scene:
    """The model that is drawn, and from where.

    Args:
        load_model: compiles it; its qpos is the family's `State.qpos`.
        camera: where the camera stands.
        frames_per_second: at which steps are played; None for the speed of the simulated time.
    """

    load_model: Callable[[], mujoco.MjModel]
    camera: Camera = field(default_factory=Camera)
    frames_per_second: int | None = None
