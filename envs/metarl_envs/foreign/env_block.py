"""Several copies of an environment as one: what a worker process holds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import parent_process
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from metarl_envs.foreign.adapters import AnyEnv, apply_task, close_env
from metarl_envs.foreign.outcomes import (
    OutcomeError,
    checked_reset,
    checked_step,
    told_exception,
    told_success,
)
from metarl_envs.tasks import Task

if sys.platform == "linux":
    import fcntl


class EnvBlock(gymnasium.Env[Any, Any]):
    """Some copies of an environment as one, with batched spaces [slot, ...].

    A copy whose episode is over is held until the next reset, as in `VectorTaskEnv`. Gymnasium has one
    reward and one end per environment, so those of the copies are in `info`, [slot] each, and so is success,
    NaN where a copy does not tell. An exception, or something that is not a valid outcome, is reported there
    too, in `info["fault"]`. The copies are built at the first reset, since Gymnasium makes one more block
    only to read its spaces.

    Args:
        make_env: builds one copy.
        spaces: observation and action space of a copy.
        copies: how many.
        slots: length of the batch; those beyond the copies are padding.
        first: number of the first copy among those of all blocks, which names episodes in errors.
        own_process: whether the block is alone in its process, which then leaves Ctrl-C to the parent.
    """

    def __init__(
        self,
        make_env: Callable[[], AnyEnv],
        spaces: tuple[gymnasium.Space[Any], gymnasium.Space[Any]],
        copies: int,
        slots: int,
        first: int,
        own_process: bool,
    ) -> None:
        self.observation_space, self.action_space = (batch_space(space, slots) for space in spaces)
        self.tasks: list[Task] = []
        self.seeds: list[int] = []
        self._make_env, self._space = make_env, spaces[0]
        self._copies, self._first, self._own_process = copies, first, own_process
        self._elapsed = 0
        self._envs: list[AnyEnv] = []
        self._observations = np.zeros(self.observation_space.shape or (), self.observation_space.dtype)
        self._terminated = np.zeros(slots, dtype=np.bool_)
        self._truncated = np.zeros(slots, dtype=np.bool_)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode of every copy, with its own of `tasks` and `seeds`."""
        self._terminated[:], self._truncated[:], self._elapsed = False, False, 0
        info: dict[str, Any] = {}
        task: Task = {}
        try:
            self._build()
            for i, (env, task) in enumerate(zip(self._envs, self.tasks, strict=True)):
                returned = env.reset(seed=self.seeds[i], options=apply_task(env, task))
                self._observations[i] = checked_reset(returned, self._space, self._episode(i))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            info = _fault(error, task)
        return self._observations, info

    def step(self, actions: Any) -> Any:
        rewards, success = np.zeros(len(self._terminated)), np.full(len(self._terminated), np.nan)
        info = {
            "reward": rewards,
            "success": success,
            "episode_terminated": self._terminated,
            "episode_truncated": self._truncated,
        }
        running = ~(self._terminated | self._truncated)[: self._copies]
        i = 0
        try:
            for i in np.flatnonzero(running).tolist():
                place = f"{self._episode(i)}, step {self._elapsed}"
                returned = self._envs[i].step(actions[i])
                outcome = checked_step(returned, self._space, place)
                self._observations[i], rewards[i], self._terminated[i], self._truncated[i] = outcome
                success[i] = told_success(returned[4])
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            info |= _fault(error, self.tasks[i])
        self._elapsed += 1
        return self._observations, 0.0, False, False, info

    def close(self) -> None:
        for env in self._envs:
            close_env(env)

    def _episode(self, copy: int) -> str:
        return f"episode {self._first + copy} of the batch"

    def _build(self) -> None:
        if self._envs:
            return
        if self._own_process:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _end_with_parent()
        for _ in range(self._copies):
            self._envs.append(self._make_env())


def _end_with_parent() -> None:
    """Has this process end, whatever it does, when its parent is gone, however it went.

    Linux kills it; elsewhere a thread ends it, which waits for a step that keeps Python's lock.
    """
    parent = parent_process()
    if parent is None:
        return
    threading.Thread(target=_outlive, args=(parent,), daemon=True).start()
    if sys.platform == "linux":
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(parent.sentinel, fcntl.F_GETFL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)


def _outlive(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _fault(error: BaseException, task: Task) -> dict[str, Any]:
    """What went wrong, in one line and in full."""
    known = isinstance(error, OutcomeError)
    told = str(error) if known else f"expected an environment that runs, got {told_exception(error)}"
    message = " ".join(f"{told} with task {task}".split()) if task else " ".join(told.split())
    return {"fault": (message, "".join(traceback.format_exception(error)))}
