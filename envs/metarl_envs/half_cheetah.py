"""Half-cheetah families on Gymnasium's HalfCheetah-v5 body.

Observation (17): joint positions without the torso's x, then joint velocities; m, rad, m/s, rad/s.
The torso's forward velocity is its displacement over the environment step (0.05 s). Episodes end
by the time limit only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from metarl_envs.family import Family, State, choose_preset, never_terminated
from metarl_envs.mujoco_batch import MujocoSimulation, load_gymnasium_model
from metarl_envs.tasks import Array, Choice, Tasks, TaskSpace, Uniform

_FRAME_SKIP = 5
_DT = 0.05
_RESET_NOISE = 0.1
_CONTROL_COST = 0.05  # rllab's half-cheetah, kept by MAML, ProMP and PEARL
_NUM_JOINTS = 9
_NUM_ACTUATORS = 6


def half_cheetah_vel(
    preset: str | None = None, *, max_velocity: float | None = None, action_scale: float = 1.0
) -> Family:
    """Run forward at a commanded velocity (Finn et al. 2017, section 5.3).

    Task: `velocity` in m/s, U[0, 3] as in ProMP and PEARL; preset "maml" U[0, 2].
    Reward: -|v - velocity| (`reward_velocity`) - 0.05 |control|^2 (`reward_control`).

    Raises:
        ValueError: an unknown preset, or a bound that is not positive.
    """
    presets = {"maml": {"max_velocity": 2.0}, "promp": {"max_velocity": 3.0}, "pearl": {"max_velocity": 3.0}}
    settings = choose_preset("HalfCheetahVel", presets, preset)
    high = max_velocity if max_velocity is not None else settings.get("max_velocity", 3.0)
    if not 0 < high < np.inf:
        raise ValueError(f"HalfCheetahVel: expected a finite max_velocity > 0, got {high}")
    task_space = TaskSpace({"velocity": Uniform(0.0, high, default=high / 2)})

    def progress(forward_velocity: Array, tasks: Tasks) -> tuple[str, Array]:
        return "reward_velocity", -np.abs(forward_velocity - tasks["velocity"])

    return _half_cheetah(task_space, progress, action_scale)


def half_cheetah_dir(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Run forward or backward as fast as possible (Finn et al. 2017, section 5.3).

    Task: `direction`, +1 or -1; the presets "maml", "promp" and "pearl" agree.
    Reward: direction * v (`reward_direction`) - 0.05 |control|^2 (`reward_control`).

    Raises:
        ValueError: an unknown preset.
    """
    choose_preset("HalfCheetahDir", {"maml": {}, "promp": {}, "pearl": {}}, preset)
    task_space = TaskSpace({"direction": Choice((-1.0, 1.0), default=1.0)})

    def progress(forward_velocity: Array, tasks: Tasks) -> tuple[str, Array]:
        return "reward_direction", tasks["direction"] * forward_velocity

    return _half_cheetah(task_space, progress, action_scale)


def _half_cheetah(
    task_space: TaskSpace, progress: Callable[[Array, Tasks], tuple[str, Array]], action_scale: float
) -> Family:
    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        forward_velocity = (after.qpos[:, 0] - before.qpos[:, 0]) / _DT
        name, reward = progress(forward_velocity, tasks)
        return {name: reward, "reward_control": -_CONTROL_COST * np.square(control).sum(-1)}

    return Family(
        task_space=task_space,
        observation_size=2 * _NUM_JOINTS - 1,
        control_low=-np.ones(_NUM_ACTUATORS),
        control_high=np.ones(_NUM_ACTUATORS),
        dt=_DT,
        simulation=partial(MujocoSimulation, partial(load_gymnasium_model, "half_cheetah.xml"), _FRAME_SKIP),
        initial_state=_initial_state,
        observation=_observation,
        reward_terms=reward_terms,
        terminated=never_terminated,
        action_scale=action_scale,
    )


def _initial_state(rng: np.random.Generator) -> State:
    qpos = rng.uniform(-_RESET_NOISE, _RESET_NOISE, size=_NUM_JOINTS)
    qvel = _RESET_NOISE * rng.standard_normal(_NUM_JOINTS)
    return State(qpos, qvel)


def _observation(state: State) -> Array:
    return np.concatenate((state.qpos[:, 1:], state.qvel), axis=-1)
