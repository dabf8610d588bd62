"""MuJoCo's native batch behind the `Simulation` interface: the only file that touches mujoco.batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import mujoco
import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from metarl_envs.family import NO_FIELDS, Fields, State
from metarl_envs.task_parameters import Array

try:
    from mujoco.batch import Batch
except ModuleNotFoundError:  # an older MuJoCo, as Meta-World pins it: other environments still work
    Batch = None

_DIVERGENCE_WARNINGS = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
"""Bad positions, velocities and accelerations: three neighbours."""


def _log_warning(message: str) -> None:
    """Keeps MuJoCo from writing a log file where it runs; divergence is read from the batch's counters."""
    logging.getLogger(__name__).info(message)


class MujocoSimulation:
    """N simulations of one model on native threads (`Simulation`).

    The batch is created at the first use: it holds threads, so an object that has not been used
    can still be forked or pickled.

    Args:
        load_model: compiles the model.
        frame_skip: physics steps per environment step.
        num_envs: number of simulations.
        num_threads: threads; 0 for one per CPU. Results do not depend on it.
        fields: MjData arrays that `state` has beside positions and velocities. What follows from those
            (`subtree_com`, `cvel`) belongs to the state; forces (`cfrc_ext`) acted in the last physics step.

    Raises:
        DependencyNotInstalled: this MuJoCo has no native batch.
    """

    def __init__(
        self,
        load_model: Callable[[], mujoco.MjModel],
        frame_skip: int,
        num_envs: int,
        num_threads: int = 0,
        fields: Sequence[str] = (),
    ) -> None:
        if Batch is None:
            raise DependencyNotInstalled(
                f"expected mujoco >= 3.17, whose native batch metarl's MuJoCo environments use, got "
                f"{mujoco.__version__}; pip install -U mujoco, in an environment of its own if a package "
                "such as metaworld needs the older one"
            )
        self._load_model = load_model
        self._frame_skip = frame_skip
        self._num_envs = num_envs
        self._num_threads = num_threads
        self._field_names = fields
        self._batch: Batch | None = None

    def _opened(self) -> Batch:
        if self._batch is None:
            mujoco.set_mju_user_warning(_log_warning)
            self._batch = Batch(self._load_model(), self._num_envs, nthread=self._num_threads)
            self._qpos: Array = self._batch.bind("qpos")
            self._qvel: Array = self._batch.bind("qvel")
            self._control: Array = self._batch.bind("ctrl")
            self._fields = {name: self._batch.bind(name) for name in self._field_names}
            self._batch.reset()
        return self._batch

    def state(self) -> State:
        self._opened()
        fields = {name: values.copy() for name, values in self._fields.items()}
        return State(self._qpos.copy(), self._qvel.copy(), fields)

    def write(self, mask: NDArray[np.bool_], state: State, physics: Fields = NO_FIELDS) -> None:
        batch = self._opened()
        for name, values in physics.items():
            batch.expand(name)[mask] = values
        if physics:
            batch.set_const(mask)
        batch.reset(mask, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._qpos[mask] = state.qpos
        self._qvel[mask] = state.qvel
        batch.forward(mask)

    def step(self, control: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        batch = self._opened()
        everywhere = bool(mask.all())
        if everywhere:
            self._control[:] = control
        else:
            self._control[mask] = control[mask]
        stage = mujoco.mjtStage.mjSTAGE_VEL if self._fields else mujoco.mjtStage.mjSTAGE_NONE
        batch.step(None if everywhere else mask, nstep=self._frame_skip, stage=stage)
        # MuJoCo resets a bad state silently; its counters, which a write clears, show it. A state that went
        # bad in the last substep is not counted yet.
        counted = batch.warning[:, _DIVERGENCE_WARNINGS, 1].any(axis=1)
        bounded = _is_good(self._qpos) & _is_good(self._qvel)
        return np.asarray(mask & (counted | ~bounded))


def _is_good(values: Array) -> NDArray[np.bool_]:
    """MuJoCo's own bound on positions and velocities, which NaN fails too; [env, n] -> [env]."""
    return np.asarray((np.abs(values) <= mujoco.mjMAXVAL).all(-1))
