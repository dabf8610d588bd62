"""What bodies did in the episodes of an evaluation: ways on the plane, speeds and headings over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from metarl_envs.family import Observed
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks
from numpy.typing import NDArray

from metarl.adaptation.figures.style import colours, panels
from metarl.rollouts.rollout import Rollout, next_observations

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TASKS, _EPISODES = 6, 2
"""That are drawn."""


@dataclass(frozen=True)
class Motion:
    """Ways and velocities of a few tasks' first episodes.

    Args:
        place: x and y at every step's beginning and the last one's end, [task, episode, time + 1, 2] in m;
            NaN after an episode's end.
        velocity: mean over the running episodes after every step, [task, time, 1 or 2] in m/s.
    """

    place: Array | None
    velocity: Array | None


def motion_of(rollout: Rollout, observed: Observed) -> Motion:
    """The motion that observations tell."""
    seen = rollout.observations[:_TASKS].double().cpu().numpy()
    following = next_observations(rollout)[:_TASKS].double().cpu().numpy()
    valid = rollout.valid[:_TASKS].cpu().numpy()
    place = velocity = None
    if observed.place:
        later = np.where(valid[..., None], following[..., list(observed.place)], np.nan)
        way = np.concatenate((seen[..., :1, list(observed.place)], later), axis=2)
        place = way[:, :_EPISODES]
    if observed.velocity:
        moving = np.where(valid[..., None], following[..., list(observed.velocity)], 0.0)
        running = valid.sum(1)[..., None]
        velocity = np.where(running, moving.sum(1) / np.maximum(running, 1), np.nan)
    return Motion(place, velocity)


def goals_of(tasks: Tasks) -> Array | None:
    """The places that tasks ask for, [task, 2] in m: `goal`, or `angle` on the unit circle; else None."""
    if "goal" in tasks and tasks["goal"].shape[1:] == (2,):
        return np.asarray(tasks["goal"])
    if "angle" in tasks:
        return np.stack((np.cos(tasks["angle"]), np.sin(tasks["angle"])), axis=-1)
    return None


def ways_figure(before: Motion, after: Motion, tasks: Tasks, caption: str, title: str) -> Figure | None:
    """Ways on the plane, a colour per task, with its goal; None where goals or places are not known."""
    goals = goals_of(tasks)
    if goals is None or before.place is None or after.place is None:
        return None
    figure, axes = panels(title, 2, width=5.8, height=3.0)
    for one, ways, name in zip(
        axes, (before.place, after.place), ("before adaptation", caption), strict=True
    ):
        for way, goal, colour in zip(ways, goals, _task_colours(len(ways)), strict=False):
            one.plot(way[..., 0].T, way[..., 1].T, color=colour, alpha=0.6, linewidth=1)
            one.plot(
                *goal, marker="*", markersize=15, color=colour, markeredgecolor="black", linestyle="none"
            )
        one.plot(0, 0, marker="+", markersize=10, color="black")
        one.set_title(name, fontsize=10)
        one.set_xlabel("x, m")
        one.set_aspect("equal", adjustable="box")
    axes[0].set_ylabel("y, m")
    return figure


def speeds_figure(
    before: Motion, after: Motion, tasks: Tasks, dt: float, caption: str, title: str
) -> Figure | None:
    """Speed or heading over time, a colour per task, with the commanded one dashed; None where none is.

    Args:
        dt: seconds per step.
    """
    commanded = next((name for name in ("velocity", "direction", "heading") if name in tasks), None)
    if commanded is None or before.velocity is None or after.velocity is None:
        return None
    figure, axes = panels(title, 2, width=5.8, height=3.0)
    asked = np.ravel(tasks[commanded])
    for one, velocity, name in zip(
        axes, (before.velocity, after.velocity), ("before adaptation", caption), strict=True
    ):
        _draw_commanded(one, velocity, asked, commanded, dt)
        one.set_title(name, fontsize=10)
        one.set_xlabel("time, s")
    axes[0].set_ylabel("heading, rad" if commanded == "heading" else "forward speed, m/s")
    return figure


def _draw_commanded(
    axes: Axes, velocity: Array, asked: NDArray[np.float64], commanded: str, dt: float
) -> None:
    time = dt * (1 + np.arange(velocity.shape[1]))
    for moved, wanted, colour in zip(velocity, asked, _task_colours(len(velocity)), strict=False):
        if commanded == "heading":
            turned = np.arctan2(moved[:, 1], moved[:, 0]) % (2 * np.pi)
            axes.plot(time, turned, color=colour, marker=".", markersize=3, linestyle="none")
            axes.axhline(wanted % (2 * np.pi), color=colour, linestyle="--", linewidth=1)
        elif commanded == "direction":
            axes.plot(time, moved[:, 0], color="tab:blue" if wanted > 0 else "tab:orange", alpha=0.7)
        else:
            axes.plot(time, moved[:, 0], color=colour)
            axes.axhline(wanted, color=colour, linestyle="--", linewidth=1)
    if commanded == "direction":
        axes.axhline(0.0, color="black", linewidth=1)
        axes.plot([], [], color="tab:blue", label="asked to run forward")
        axes.plot([], [], color="tab:orange", label="asked to run backward")
    else:
        axes.plot([], [], color="gray", linestyle="--", label="commanded")
    axes.legend(frameon=False)


def _task_colours(tasks: int) -> list[tuple[float, ...]]:
    return colours(np.arange(float(tasks)), "turbo", -1.0, float(tasks))
