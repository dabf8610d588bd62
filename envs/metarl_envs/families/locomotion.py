"""Shared parts of the families of walking, running and swimming bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from metarl_envs.family import Family, Fields, Observed, RewardTerms, State, never_terminated
from metarl_envs.physics.mujoco_batch import MujocoSimulation
from metarl_envs.physics.mujoco_models import load_gymnasium_model
from metarl_envs.rendering.scene import Camera, Scene
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, TaskSpace

InitialState = Callable[[np.random.Generator], State]
Progress = Callable[[Array, Tasks], dict[str, Array]]
"""(velocity of the body, [env, 2] in m/s, tasks) -> the reward's task term by name, [env]."""


def torso(state: State) -> Array:
    """The torso's x and y, or its x and height if the body is planar; [env, 2] in m."""
    return state.qpos[:, :2]


def centre_of_mass(state: State) -> Array:
    """The whole body's, of families whose states have `subtree_com`; [env, 2] in m."""
    return state.fields["subtree_com"][:, 0, :2]


def velocity(before: Array, after: Array, dt: float) -> Array:
    """Mean velocity over an environment step of places [env, >= 2]; [env, 2] in m/s."""
    displacement: Array = after[:, :2] - before[:, :2]
    return displacement / dt


def at_velocity(velocity: Array, tasks: Tasks) -> dict[str, Array]:
    """Minus the distance between the forward and the commanded velocity, m/s (`reward_velocity`)."""
    return {"reward_velocity": -np.abs(velocity[:, 0] - tasks["velocity"])}


def in_direction(velocity: Array, tasks: Tasks) -> dict[str, Array]:
    """Forward velocity, or backward where `direction` is -1, m/s (`reward_direction`)."""
    return {"reward_direction": tasks["direction"] * velocity[:, 0]}


def forward(velocity: Array, tasks: Tasks) -> dict[str, Array]:
    """Forward velocity, m/s (`reward_forward`)."""
    return {"reward_forward": velocity[:, 0]}


def along_heading(velocity: Array, tasks: Tasks) -> dict[str, Array]:
    """Velocity along the heading, m/s (`reward_heading`)."""
    x, y = velocity[:, 0], velocity[:, 1]
    return {"reward_heading": np.cos(tasks["heading"]) * x + np.sin(tasks["heading"]) * y}


def control_cost(weight: float, control: Array) -> dict[str, Array]:
    """-weight |control|^2, of the control that acts (`reward_control`)."""
    return {"reward_control": -weight * np.square(control).sum(-1)}


def healthy(reward: float, control: Array) -> dict[str, Array]:
    """The same reward every step (`reward_healthy`)."""
    return {"reward_healthy": np.full(len(control), reward)}


def positions_and_velocities(state: State, skip: int, max_velocity: float = np.inf) -> Array:
    """Positions from number `skip` on, then velocities clipped to [-max_velocity, max_velocity]."""
    velocities = np.clip(state.qvel, -max_velocity, max_velocity)
    return np.concatenate((state.qpos[:, skip:], velocities), axis=-1)


def outside(values: Array, low: float, high: float) -> NDArray[np.bool_]:
    """Which values lie outside [low, high]."""
    return np.asarray((values < low) | (values > high))


def mujoco_family(
    asset: str,
    *,
    task_space: TaskSpace,
    frame_skip: int,
    position_noise: float,
    velocity_noise: float,
    normal_velocities: bool,
    observation_size: int,
    observation: Callable[[State], Array],
    reward_terms: RewardTerms,
    terminated: Callable[[State, Tasks], NDArray[np.bool_]] = never_terminated,
    fields: Sequence[str] = (),
    physics: Callable[[Tasks], Fields] | None = None,
    action_scale: float = 1.0,
    observed: Observed,
) -> Family:
    """A family on one of Gymnasium's MuJoCo bodies; see `Family` for what is not listed.

    Args:
        asset: Gymnasium's MJCF file.
        frame_skip: physics steps per environment step.
        position_noise: an episode starts at the body's rest with U[-noise, noise] on every position,
        velocity_noise: and on every velocity, or noise * N(0, 1) with `normal_velocities`.
        fields: derived MjData arrays that the state has.
    """
    load_model = partial(load_gymnasium_model, asset, "cfrc_ext" in fields)
    model = load_model()
    low, high = model.actuator_ctrlrange.T
    rest, degrees = model.qpos0.copy(), model.nv

    def initial_state(rng: np.random.Generator) -> State:
        qpos = rest + rng.uniform(-position_noise, position_noise, size=len(rest))
        if normal_velocities:
            return State(qpos, velocity_noise * rng.standard_normal(degrees))
        return State(qpos, rng.uniform(-velocity_noise, velocity_noise, size=degrees))

    return Family(
        task_space=task_space,
        observation_size=observation_size,
        control_low=low.copy(),
        control_high=high.copy(),
        dt=frame_skip * model.opt.timestep,
        simulation=partial(MujocoSimulation, load_model, frame_skip, fields=fields),
        initial_state=initial_state,
        observation=observation,
        reward_terms=reward_terms,
        terminated=terminated,
        physics=physics,
        action_scale=action_scale,
        scene=Scene(load_model, _camera(task_space, height=model.body("torso").pos[2])),
        observed=observed,
    )


def _camera(task_space: TaskSpace, height: float) -> Camera:
    """Beside a torso at rest at the height, m; from above where the task or the body is of the plane."""
    if "goal" in task_space.parameters:
        return Camera(lookat=(0.0, 0.0, 0.0), distance=8.5, elevation=-45.0)
    from_above = "heading" in task_space.parameters or height == 0
    return Camera(
        tracked_body="torso",
        lookat=(0.0, 0.0, 0.1 + 0.65 * height),
        distance=3.0 + 0.6 * height if height else 4.2,
        elevation=-40.0 if from_above else -12.0,
    )
