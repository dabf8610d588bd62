"""Walker families on Gymnasium's Walker2d-v5 body.

Observation (17): torso height and angle, joint angles, then velocities clipped to [-10, 10]. The
forward velocity is the torso's displacement over the environment step. Starts at U[-0.005, 0.005] on
positions and velocities. An episode ends unless 0.8 < height < 2 m and |angle| < 1 rad.

Coefficients and frame skip of the reward families are those of ProMP's walker2d_rand_*.py, whose run
scripts take `max_episode_steps` 100 and `action_scale` 10; of `walker_2d_rand_params`, those of
dennisl88/rand_param_envs, which PEARL used.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from metarl_envs.families.locomotion import (
    Progress,
    at_velocity,
    control_cost,
    forward,
    healthy,
    in_direction,
    mujoco_family,
    positions_and_velocities,
    velocity,
)
from metarl_envs.families.random_physics import RandomPhysics, random_physics
from metarl_envs.family import Family, Observed, State, choose_preset
from metarl_envs.task_parameters import Array, Choice, Uniform
from metarl_envs.tasks import Tasks, TaskSpace

_ASSET = "walker2d.xml"
_FRAME_SKIP, _DT = 8, 0.016
_CONTROL_COST = 1e-3
_HEIGHTS = (0.8, 2.0)
_MAX_ANGLE = 1.0
_MAX_OBSERVED_VELOCITY = 10.0


def walker_2d_dir(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk forward or backward as fast as possible (Rothfuss et al. 2019).

    Task: `direction`, +1 or -1. Reward: direction * v (`reward_direction`) + 1 (`reward_healthy`)
    - 1e-3 |control|^2 (`reward_control`), a step of 0.016 s. Presets: "promp".

    Raises:
        ValueError: an unknown preset.
    """
    choose_preset("Walker2DDir", {"promp": None}, preset, default=None)
    task_space = TaskSpace({"direction": Choice((-1.0, 1.0), default=1.0)})
    return _walker(task_space, in_direction, healthy_reward=1.0, action_scale=action_scale)


def walker_2d_vel(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk forward at a commanded velocity (Rothfuss et al. 2019).

    Task: `velocity` in m/s, U[0, 10]. Reward: -|v - velocity| (`reward_velocity`) + 15
    (`reward_healthy`) - 1e-3 |control|^2 (`reward_control`), a step of 0.016 s. Presets: "promp".

    Raises:
        ValueError: an unknown preset.
    """
    choose_preset("Walker2DVel", {"promp": None}, preset, default=None)
    task_space = TaskSpace({"velocity": Uniform(0.0, 10.0, default=5.0)})
    return _walker(task_space, at_velocity, healthy_reward=15.0, action_scale=action_scale)


def walker_2d_rand_params(
    preset: str | None = None, *, log_scale_limit: float = 3.0, action_scale: float = 1.0
) -> Family:
    """Walk forward with a body of unknown physics (Rakelly et al. 2019).

    Task: multipliers of the body's physics; see `random_physics`. Reward: v (`reward_forward`) + 1
    (`reward_healthy`) - 1e-3 |control|^2 (`reward_control`), a step of 0.016 s (the original's 4 physics
    steps of 0.004 s: its base.py ignores the 5 it is given). Presets: "pearl".

    Raises:
        ValueError: an unknown preset, or a log_scale_limit that is not positive.
    """
    choose_preset("Walker2DRandParams", {"pearl": None}, preset, default=None)
    physics = random_physics(_ASSET, log_scale_limit)
    return _walker(
        physics.task_space, forward, healthy_reward=1.0, action_scale=action_scale, physics=physics
    )


def _walker(
    task_space: TaskSpace,
    progress: Progress,
    *,
    healthy_reward: float,
    action_scale: float,
    physics: RandomPhysics | None = None,
) -> Family:
    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        speed = velocity(before.qpos, after.qpos, _DT)
        alive = healthy(healthy_reward, control)
        return {**progress(speed, tasks), **alive, **control_cost(_CONTROL_COST, control)}

    return mujoco_family(
        _ASSET,
        task_space=task_space,
        frame_skip=_FRAME_SKIP,
        position_noise=0.005,
        velocity_noise=0.005,
        normal_velocities=False,
        observation_size=17,
        observation=partial(positions_and_velocities, skip=1, max_velocity=_MAX_OBSERVED_VELOCITY),
        reward_terms=reward_terms,
        terminated=_terminated,
        physics=physics,
        action_scale=action_scale,
        observed=Observed(velocity=(8,)),
    )


def _terminated(state: State, tasks: Tasks) -> NDArray[np.bool_]:
    height, angle = state.qpos[:, 1], state.qpos[:, 2]
    upright = (_HEIGHTS[0] < height) & (height < _HEIGHTS[1]) & (np.abs(angle) < _MAX_ANGLE)
    return np.asarray(~upright)
