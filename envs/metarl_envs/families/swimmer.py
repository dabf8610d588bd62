"""The swimmer family on Gymnasium's Swimmer-v5 body."""

from __future__ import annotations

from functools import partial

from metarl_envs.families.locomotion import (
    at_velocity,
    control_cost,
    mujoco_family,
    positions_and_velocities,
    velocity,
)
from metarl_envs.family import Family, Observed, State, choose_preset
from metarl_envs.task_parameters import Array, Uniform
from metarl_envs.tasks import Tasks, TaskSpace

_DT = 0.04
_CONTROL_COST = 1e-4


def swimmer_vel(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Swim forward at a commanded velocity (Rothfuss et al. 2019).

    Task: `velocity` in m/s, U[0.1, 0.2]. Observation (8): angles, then velocities. Reward:
    -|v - velocity| (`reward_velocity`) - 1e-4 |control|^2 (`reward_control`); ProMP's swimmer_rand_vel.py
    has both coefficients, and rewards the distance from the commanded velocity, which is taken for a
    slip of sign. Starts at U[-0.1, 0.1] on positions and velocities; ends by the time limit only.
    Presets: "promp"; ProMP's run scripts take `max_episode_steps` 100 and `action_scale` 10.

    Raises:
        ValueError: an unknown preset.
    """
    choose_preset("SwimmerVel", {"promp": None}, preset, default=None)
    return mujoco_family(
        "swimmer.xml",
        task_space=TaskSpace({"velocity": Uniform(0.1, 0.2, default=0.15)}),
        frame_skip=4,
        position_noise=0.1,
        velocity_noise=0.1,
        normal_velocities=False,
        observation_size=8,
        observation=partial(positions_and_velocities, skip=2),
        reward_terms=_reward_terms,
        action_scale=action_scale,
        observed=Observed(velocity=(3, 4)),
    )


def _reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
    speed = velocity(before.qpos, after.qpos, _DT)
    return {**at_velocity(speed, tasks), **control_cost(_CONTROL_COST, control)}
