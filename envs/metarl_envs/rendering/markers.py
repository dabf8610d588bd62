"""What a task asks for, drawn into a MuJoCo scene: goals, directions, speeds.

A task is recognised by its keys: `goal`, `angle`, `direction`, `heading`, `velocity`, `body_mass`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import mujoco
import numpy as np

from metarl_envs.task_parameters import Array

_COMMANDED = (0.1, 0.85, 0.25, 1.0)
_ACTUAL = (0.25, 0.6, 1.0, 1.0)
_AREA = (0.1, 0.85, 0.25, 0.3)
_PATH = (0.7, 0.75, 0.8, 1.0)
_HEAVY, _LIGHT = np.array([0.75, 0.1, 0.1]), np.array([0.35, 0.65, 1.0])
_FULL_TINT = 3 * np.log(1.5)  # the largest mass multiplier of the field's random physics
_REWARD_RADIUS = 0.2  # of the sparse point family
_CIRCLE_SEGMENTS = 72
_TRAIL = (1.0, 0.85, 0.1, 1.0)
_TRAIL_SEGMENTS = 1000


def draw_task(
    scene: mujoco.MjvScene, task: Mapping[str, Any], *, above: Array, speed: float, size: float
) -> None:
    """Adds the task's markers to a scene.

    Args:
        task: one task; keys without a marker are ignored.
        above: the place above the body where arrows stand, [3] in m.
        speed: the body's velocity along x, m/s; drawn beside a commanded one.
        size: the picture's scale, m: the camera's distance.
    """
    if "goal" in task:
        _draw_goal(scene, np.asarray(task["goal"]), size)
    if "angle" in task:
        goal = np.array([np.cos(task["angle"]), np.sin(task["angle"])])
        _draw_circle(scene, size)
        _add(scene, mujoco.mjtGeom.mjGEOM_CYLINDER, (*goal, 0.0), (_REWARD_RADIUS, 0.002, 0.0), _AREA)
        _draw_goal(scene, goal, size)
    if "direction" in task:
        _draw_arrow(scene, above, task["direction"] * np.array([0.2 * size, 0.0, 0.0]), size, _COMMANDED)
    if "heading" in task:
        heading = np.array([np.cos(task["heading"]), np.sin(task["heading"]), 0.0])
        _draw_arrow(scene, above, 0.2 * size * heading, size, _COMMANDED)
    if "velocity" in task:
        lift = np.array([0.0, 0.0, 0.06 * size])
        _draw_speed(scene, above + lift, float(task["velocity"]), size, _COMMANDED, "target")
        _draw_speed(scene, above, speed, size, _ACTUAL, "now")


def draw_trail(scene: mujoco.MjvScene, places: Sequence[Array], *, size: float) -> None:
    """Adds the way along places on the ground; of a long one, evenly chosen places and the last.

    Args:
        places: [2] each, in m.
        size: the picture's scale, m: the camera's distance.
    """
    chosen = [*places[:: 1 + len(places) // _TRAIL_SEGMENTS], *places[-1:]]
    for start, end in pairwise(np.array([*place, 0.0]) for place in chosen):
        if (start != end).any():
            _connect(scene, mujoco.mjtGeom.mjGEOM_CAPSULE, start, end, 0.004 * size, _TRAIL)


def tint_by_mass(rgba: Array, bodies: Array, task: Mapping[str, Any]) -> Array:
    """Colours of geoms [geom, 4], redder where the task makes their body heavier, bluer where lighter.

    Args:
        bodies: the geoms' bodies, [geom]; those of the world, 0, keep their colour.
    """
    if "body_mass" not in task:
        return rgba
    weight = np.clip(np.log(np.asarray(task["body_mass"])[bodies]) / _FULL_TINT, -1, 1)[:, None]
    share = np.where(bodies[:, None] > 0, 0.9 * np.sqrt(np.abs(weight)), 0.0)
    mixed = (1 - share) * rgba[:, :3] + share * np.where(weight > 0, _HEAVY, _LIGHT)
    return np.concatenate((mixed, rgba[:, 3:]), axis=1)


def _draw_goal(scene: mujoco.MjvScene, goal: Array, size: float) -> None:
    """A disc on the ground, which hides no body that stands on it."""
    size_of_disc = (0.035 * size, 0.002 * size, 0.0)
    _add(scene, mujoco.mjtGeom.mjGEOM_CYLINDER, (*goal, 0.0), size_of_disc, _COMMANDED)


def _draw_circle(scene: mujoco.MjvScene, size: float) -> None:
    turns = np.linspace(0, 2 * np.pi, _CIRCLE_SEGMENTS + 1)
    points = np.stack((np.cos(turns), np.sin(turns), np.zeros_like(turns)), axis=-1)
    for start, end in pairwise(points):
        _connect(scene, mujoco.mjtGeom.mjGEOM_CAPSULE, start, end, 0.002 * size, _PATH)


def _draw_arrow(
    scene: mujoco.MjvScene, start: Array, along: Array, size: float, rgba: tuple[float, ...]
) -> None:
    _connect(scene, mujoco.mjtGeom.mjGEOM_ARROW, start, start + along, 0.008 * size, rgba)


def _draw_speed(
    scene: mujoco.MjvScene, place: Array, speed: float, size: float, rgba: tuple[float, ...], name: str
) -> None:
    """An arrow along x whose length grows with the speed, to an end, and the number behind it."""
    length = 0.35 * size * speed / (1 + abs(speed))
    _draw_arrow(scene, place, np.array([length, 0.0, 0.0]), size, rgba)
    label = _add(scene, mujoco.mjtGeom.mjGEOM_LABEL, tuple(place - [0.4 * size, 0, 0]), (0.0,) * 3, rgba)
    label.label = f"{name} {speed:.2f} m/s"


def _add(
    scene: mujoco.MjvScene,
    kind: mujoco.mjtGeom,
    place: tuple[float, ...],
    size: tuple[float, ...],
    rgba: tuple[float, ...],
) -> mujoco.MjvGeom:
    if scene.ngeom >= scene.maxgeom:
        raise ValueError(f"expected at most {scene.maxgeom} geoms in the scene")
    geom = scene.geoms[scene.ngeom]
    mujoco.mjv_initGeom(geom, kind, np.array(size), np.array(place), np.eye(3).ravel(), np.array(rgba))
    scene.ngeom += 1
    return geom


def _connect(
    scene: mujoco.MjvScene,
    kind: mujoco.mjtGeom,
    start: Array,
    end: Array,
    width: float,
    rgba: tuple[float, ...],
) -> None:
    geom = _add(scene, kind, (0.0,) * 3, (0.0,) * 3, rgba)
    mujoco.mjv_connector(geom, kind, width, start, end)
