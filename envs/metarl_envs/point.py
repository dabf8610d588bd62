"""A point on the plane: the field's smallest family, and the fastest to learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarl_envs.family import Family, State, choose_preset
from metarl_envs.tasks import Array, Tasks, TaskSpace, Uniform

_MAX_DISPLACEMENT = 0.1
_GOAL_RANGE = 0.5
_GOAL_TOLERANCE = 0.01


def point_navigation(
    preset: str | None = None, *, terminate_at_goal: bool | None = None, action_scale: float = 1.0
) -> Family:
    """Walk from the origin to a goal that the observation does not show (Finn et al. 2017, section 5.3).

    Task: `goal` [x, y], U[-0.5, 0.5]^2. Observation: the position (2). Action: a displacement, at
    most 0.1 an axis and step. Reward: -|position - goal| after the move (`reward_distance`).
    `terminate_at_goal` ends the episode when both coordinates are within 0.01 of the goal; the
    paper's code does (preset "maml"), the default does not.

    Raises:
        ValueError: an unknown preset.
    """
    settings = choose_preset("PointNavigation", {"maml": {"terminate_at_goal": True}}, preset)
    terminate = settings.get("terminate_at_goal", False) if terminate_at_goal is None else terminate_at_goal

    def terminated(state: State, tasks: Tasks) -> NDArray[np.bool_]:
        if not terminate:
            return np.zeros(len(state.qpos), dtype=np.bool_)
        return np.asarray((np.abs(state.qpos - tasks["goal"]) < _GOAL_TOLERANCE).all(-1))

    return Family(
        task_space=TaskSpace({"goal": Uniform((-_GOAL_RANGE,) * 2, (_GOAL_RANGE,) * 2, default=(0.3, 0.3))}),
        observation_size=2,
        control_low=np.full(2, -_MAX_DISPLACEMENT),
        control_high=np.full(2, _MAX_DISPLACEMENT),
        dt=1.0,
        simulation=PointSimulation,
        initial_state=lambda rng: State(np.zeros(2), np.zeros(0)),
        observation=lambda state: state.qpos.copy(),
        reward_terms=_reward_terms,
        terminated=terminated,
        action_scale=action_scale,
    )


def _reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
    return {"reward_distance": -np.sqrt(np.square(after.qpos - tasks["goal"]).sum(-1))}


class PointSimulation:
    """Points that move by their control (`Simulation`); `num_threads` has nothing to do here."""

    def __init__(self, num_envs: int, num_threads: int = 0) -> None:
        self._position = np.zeros((num_envs, 2))

    def state(self) -> State:
        return State(self._position.copy(), np.zeros((len(self._position), 0)))

    def write(self, mask: NDArray[np.bool_], state: State) -> None:
        self._position[mask] = state.qpos

    def step(self, control: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        self._position[mask] += control[mask]
        return np.zeros(len(self._position), dtype=np.bool_)
