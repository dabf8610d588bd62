"""A point on the plane: the field's smallest families, and the fastest to learn."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from metarl_envs.family import (
    NO_FIELDS,
    Family,
    Fields,
    Observed,
    RewardTerms,
    State,
    choose_preset,
    never_terminated,
)
from metarl_envs.rendering.scene import Camera, Scene
from metarl_envs.task_parameters import Array, Uniform
from metarl_envs.tasks import Tasks, TaskSpace

_MAX_DISPLACEMENT = 0.1
_GOAL_RANGE = 0.5
_GOAL_TOLERANCE = 0.01
_REWARD_RADIUS = 0.2
_SCENE = """
<mujoco model="point">
  <asset>
    <texture name="plane" type="2d" builtin="checker" rgb1="0 0 0" rgb2="1 1 1" width="100" height="100"/>
    <material name="plane" texture="plane" texrepeat="10 10" texuniform="true"/>
  </asset>
  <worldbody>
    <light pos="0 0 3" dir="0 0 -1" directional="true" castshadow="false"/>
    <geom type="plane" size="10 10 .1" material="plane"/>
    <body name="point" pos="0 0 .07">
      <joint type="slide" axis="1 0 0"/>
      <joint type="slide" axis="0 1 0"/>
      <geom type="sphere" size=".07" mass="1" rgba=".95 .35 .15 1"/>
    </body>
  </worldbody>
</mujoco>
"""
_FROM_ABOVE = Camera(lookat=(0.0, 0.0, 0.0), distance=2.9, elevation=-90.0)


def point_navigation(
    preset: str | None = None, *, terminate_at_goal: bool | None = None, action_scale: float = 1.0
) -> Family:
    """Walk from the origin to a goal that the observation does not show (Finn et al. 2017, section 5.3).

    Task: `goal` [x, y], U[-0.5, 0.5]^2. Observation: the position (2). Action: a displacement, at
    most 0.1 per axis and step. Reward: -|position - goal| after the move (`reward_distance`).
    `info["success"]` is 1 with both coordinates within 0.01 of the goal, 0 elsewhere. There
    `terminate_at_goal` ends the episode; the paper's code does (preset "maml"), the default does not.

    Raises:
        ValueError: an unknown preset.
    """
    ends = choose_preset("PointNavigation", {"maml": True}, preset, default=False)
    terminate = ends if terminate_at_goal is None else terminate_at_goal

    def at_goal(state: State, tasks: Tasks) -> NDArray[np.bool_]:
        return np.asarray((np.abs(state.qpos - tasks["goal"]) < _GOAL_TOLERANCE).all(-1))

    def info(state: State, tasks: Tasks) -> dict[str, Array]:
        return {"success": np.where(at_goal(state, tasks), 1.0, 0.0)}

    goal = Uniform((-_GOAL_RANGE,) * 2, (_GOAL_RANGE,) * 2, default=(0.3, 0.3))

    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        return {"reward_distance": -_distance(after, tasks["goal"])}

    return replace(
        _point(TaskSpace({"goal": goal}), reward_terms, action_scale),
        terminated=at_goal if terminate else never_terminated,
        info=info,
    )


def sparse_point(
    preset: str | None = None, *, dense_reward: bool = False, action_scale: float = 1.0
) -> Family:
    """Find the goal on a half-circle by a reward that is 0 elsewhere (Rakelly et al. 2019).

    Task: `angle` in rad, U[0, pi]; the goal is (cos angle, sin angle). Observation and action as
    `point_navigation`. Reward, as oyster's point_robot.py: 1 - |position - goal| within 0.2 of the goal,
    0 elsewhere (`reward_goal`). `info["dense_reward"]` is minus the distance, which the paper trains on;
    with `dense_reward` it is the reward. `info["success"]` is 1 within 0.2 of the goal, 0 elsewhere.
    Presets: "pearl".

    Raises:
        ValueError: an unknown preset.
    """
    choose_preset("SparsePoint", {"pearl": None}, preset, default=None)

    def distance(state: State, tasks: Tasks) -> Array:
        return _distance(state, np.stack((np.cos(tasks["angle"]), np.sin(tasks["angle"])), axis=-1))

    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        away = distance(after, tasks)
        if dense_reward:
            return {"reward_distance": -away}
        return {"reward_goal": np.where(away <= _REWARD_RADIUS, 1.0 - away, 0.0)}

    def info(state: State, tasks: Tasks) -> dict[str, Array]:
        away = distance(state, tasks)
        return {"dense_reward": -away, "success": np.where(away <= _REWARD_RADIUS, 1.0, 0.0)}

    task_space = TaskSpace({"angle": Uniform(0.0, np.pi, default=np.pi / 2, widest=2 * np.pi)})
    return replace(_point(task_space, reward_terms, action_scale), info=info)


def _point(task_space: TaskSpace, reward_terms: RewardTerms, action_scale: float) -> Family:
    return Family(
        task_space=task_space,
        observation_size=2,
        control_low=np.full(2, -_MAX_DISPLACEMENT),
        control_high=np.full(2, _MAX_DISPLACEMENT),
        dt=1.0,
        simulation=PointSimulation,
        initial_state=lambda rng: State(np.zeros(2), np.zeros(0)),
        observation=lambda state: state.qpos.copy(),
        reward_terms=reward_terms,
        terminated=never_terminated,
        action_scale=action_scale,
        scene=Scene(_drawn_model, _FROM_ABOVE, frames_per_second=10),
        observed=Observed(place=(0, 1)),
    )


def _drawn_model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(_SCENE)


def _distance(state: State, goal: Array) -> Array:
    return np.asarray(np.sqrt(np.square(state.qpos - goal).sum(-1)))


class PointSimulation:
    """Points that move by their control (`Simulation`); `num_threads` has nothing to do here."""

    def __init__(self, num_envs: int, num_threads: int = 0) -> None:
        self._position = np.zeros((num_envs, 2))

    def state(self) -> State:
        return State(self._position.copy(), np.zeros((len(self._position), 0)))

    def write(self, mask: NDArray[np.bool_], state: State, physics: Fields = NO_FIELDS) -> None:
        self._position[mask] = state.qpos

    def step(self, control: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        self._position[mask] += control[mask]
        return np.zeros(len(self._position), dtype=np.bool_)
