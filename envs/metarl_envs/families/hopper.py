"""The hopper family on Gymnasium's Hopper-v5 body."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from metarl_envs.families.locomotion import (
    control_cost,
    forward,
    healthy,
    mujoco_family,
    positions_and_velocities,
    velocity,
)
from metarl_envs.families.random_physics import random_physics
from metarl_envs.family import Family, Observed, State, choose_preset
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks

_ASSET = "hopper.xml"
_DT = 0.016
_CONTROL_COST = 1e-3
_HEALTHY = 1.0
_MIN_HEIGHT, _MAX_ANGLE, _MAX_STATE = 0.7, 0.2, 100.0
_MAX_OBSERVED_VELOCITY = 10.0


def hopper_rand_params(
    preset: str | None = None, *, log_scale_limit: float = 3.0, action_scale: float = 1.0
) -> Family:
    """Hop forward with a body of unknown physics (Rakelly et al. 2019).

    Task: multipliers of the body's physics; see `random_physics`. Observation (11): torso height and
    angle, joint angles, then velocities clipped to [-10, 10]. Reward, as dennisl88/rand_param_envs,
    hopper_rand_params.py: v (`reward_forward`) + 1 (`reward_healthy`) - 1e-3 |control|^2
    (`reward_control`), a step of 0.016 s (the original's 4 physics steps of 0.004 s). Starts at
    U[-0.005, 0.005] on positions and velocities. An episode ends unless height > 0.7 m,
    |angle| < 0.2 rad and every other position and velocity is below 100. Presets: "pearl".

    Raises:
        ValueError: an unknown preset, or a log_scale_limit that is not positive.
    """
    choose_preset("HopperRandParams", {"pearl": None}, preset, default=None)
    physics = random_physics(_ASSET, log_scale_limit)
    return mujoco_family(
        _ASSET,
        task_space=physics.task_space,
        frame_skip=8,
        position_noise=0.005,
        velocity_noise=0.005,
        normal_velocities=False,
        observation_size=11,
        observation=partial(positions_and_velocities, skip=1, max_velocity=_MAX_OBSERVED_VELOCITY),
        reward_terms=_reward_terms,
        terminated=_terminated,
        physics=physics,
        action_scale=action_scale,
        observed=Observed(velocity=(5,)),
    )


def _reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
    speed = velocity(before.qpos, after.qpos, _DT)
    return {**forward(speed, tasks), **healthy(_HEALTHY, control), **control_cost(_CONTROL_COST, control)}


def _terminated(state: State, tasks: Tasks) -> NDArray[np.bool_]:
    height, angle = state.qpos[:, 1], state.qpos[:, 2]
    bounded = (np.abs(state.qpos[:, 2:]) < _MAX_STATE).all(-1) & (np.abs(state.qvel) < _MAX_STATE).all(-1)
    return np.asarray(~((height > _MIN_HEIGHT) & (np.abs(angle) < _MAX_ANGLE) & bounded))
