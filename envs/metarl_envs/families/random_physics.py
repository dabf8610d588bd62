"""Tasks that multiply a body's masses, inertias, joint damping and friction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarl_envs.arguments import is_number, told
from metarl_envs.family import Fields
from metarl_envs.physics.mujoco_models import load_gymnasium_model
from metarl_envs.task_parameters import Array, LogUniform
from metarl_envs.tasks import Tasks, TaskSpace

_BASES = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}
_MOST_LOG_SCALE = 100.0


@dataclass(frozen=True)
class RandomPhysics:
    """Multipliers, and what they multiply: calling it turns tasks into MjModel arrays, [env, ...]."""

    task_space: TaskSpace
    rest: dict[str, Array]

    def __call__(self, tasks: Tasks) -> Fields:
        return {name: values * tasks[name] for name, values in self.rest.items()}


def random_physics(asset: str, log_scale_limit: float) -> RandomPhysics:
    """Random physics of one of Gymnasium's MuJoCo assets, as dennisl88/rand_param_envs, base.py.

    Every element of `body_mass`, `body_inertia` and `geom_friction` is multiplied by its own
    1.5^U[-limit, limit], of `dof_damping` by 1.3^U[-limit, limit]; the arrays have MjModel's shapes,
    the world body and the floor included.

    Raises:
        ValueError: a limit that is not positive, or above 100.
    """
    if not is_number(log_scale_limit) or not 0 < log_scale_limit <= _MOST_LOG_SCALE:
        raise ValueError(
            f"expected a finite log_scale_limit > 0, at most {_MOST_LOG_SCALE:g}, got {told(log_scale_limit)}"
        )
    model = load_gymnasium_model(asset)
    rest = {name: np.array(getattr(model, name), dtype=np.float64) for name in _BASES}
    limits = {name: base**log_scale_limit for name, base in _BASES.items()}
    space = TaskSpace({name: LogUniform(limits[name], values.shape) for name, values in rest.items()})
    return RandomPhysics(space, rest)
