"""A family of a user's own, registered where this module is imported: metarl/BrakeAt-v0."""

from __future__ import annotations

import metarl_envs
import numpy as np
from metarl_envs import Family, State, TaskSpace, Uniform
from metarl_envs.families.point import PointSimulation
from metarl_envs.family import never_terminated


def brake_at(limit: float = 1.0) -> Family:
    """A mass that should stop at a place in [-limit, limit]."""
    return Family(
        task_space=TaskSpace({"place": Uniform(-limit, limit, default=0.0)}),
        observation_size=2,
        control_low=np.full(2, -0.1),
        control_high=np.full(2, 0.1),
        dt=1.0,
        simulation=PointSimulation,
        initial_state=lambda rng: State(np.zeros(2), np.zeros(0)),
        observation=lambda state: state.qpos.copy(),
        terminated=never_terminated,
        reward_terms=lambda before, after, control, tasks: {
            "reward_place": -np.abs(after.qpos[:, 0] - tasks["place"]),
        },
    )


metarl_envs.register_family("BrakeAt", brake_at, horizon=50)
