"""Many copies of any gymnasium environment that takes tasks, in a few processes, like a `VectorTaskEnv`."""

from __future__ import annotations

import gc
import math
import os
import signal
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing import TimeoutError
from multiprocessing.connection import wait
from typing import Any, Literal

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray

from metarl_envs.foreign.adapters import AnyEnv, close_env
from metarl_envs.foreign.env_block import EnvBlock
from metarl_envs.tasks import unstack_tasks

_SECONDS_TO_END, _SECONDS_TO_CLOSE = 5.0, 60.0


class ForeignEnvError(RuntimeError):
    """An environment raised an exception or returned an invalid outcome, or a process that held some died."""


class ForeignVectorEnv:
    """N copies of an environment through Gymnasium's Sync- or AsyncVectorEnv.

    Args:
        make_env: builds one copy.
        num_envs: copies.
        mode: "sync" steps them in turn, "async" in several processes.
        num_processes: of "async"; 0 for one per CPU. Results do not depend on it.
        timeout_seconds: how long a process of "async" may take for its copies' step or reset; 0 for ever.
            It has as long to close them and to end, or a minute.

    Raises:
        ForeignEnvError: from `reset` and `step`: a copy raised an exception or returned an invalid
            observation, reward or end, or a process died or took too long. All processes are ended then.
    """

    def __init__(
        self,
        make_env: Callable[[], AnyEnv],
        num_envs: int,
        mode: Literal["sync", "async"],
        num_processes: int = 0,
        timeout_seconds: int = 0,
    ) -> None:
        probe = make_env()
        self.single_observation_space, self.single_action_space = probe.observation_space, probe.action_space
        close_env(probe)
        self.num_envs = num_envs
        processes = 1 if mode == "sync" else min(num_processes or _available_cpus(), num_envs)
        self._slots = math.ceil(num_envs / processes)
        spaces = self.single_observation_space, self.single_action_space
        blocks = [
            partial(
                EnvBlock, make_env, spaces, min(self._slots, num_envs - i), self._slots, i, mode == "async"
            )
            for i in range(0, num_envs, self._slots)
        ]
        if mode == "async":
            # A forked process that collects a threaded simulation as garbage waits for its threads for ever.
            gc.collect()
        vector = SyncVectorEnv if mode == "sync" else AsyncVectorEnv
        self._envs: Any = vector(blocks, autoreset_mode=AutoresetMode.DISABLED)
        self._idle = True
        self._timeout = timeout_seconds or None

    def set_tasks(self, tasks: Mapping[str, Any]) -> None:
        """Gives copy i the i-th task at its next reset; a dict of arrays [env, ...].

        Raises:
            ValueError: another number of tasks than copies.
        """
        self._share("tasks", list(unstack_tasks(tasks)))

    def reset(self, *, seed: Sequence[int]) -> tuple[NDArray[Any], dict[str, Any]]:
        self._share("seeds", list(seed))
        observation, info = self._exchange("reset")
        self._raise_fault(info)
        return self._by_env(observation), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        space: Any = self.single_action_space
        batch = self._envs.action_space
        shaped = np.zeros((batch.shape[0] * self._slots, *space.shape), space.dtype)
        shaped[: self.num_envs] = np.clip(actions.reshape(-1, *space.shape), space.low, space.high)
        observation, _, _, _, info = self._exchange("step", shaped.reshape(batch.shape))
        self._raise_fault(info)
        ends = (
            info[name].reshape(-1)[: self.num_envs] for name in ("episode_terminated", "episode_truncated")
        )
        success = info["success"].reshape(-1)[: self.num_envs]
        told = {"success": success} if np.isfinite(success).any() else {}
        return self._by_env(observation), info["reward"].reshape(-1)[: self.num_envs], *ends, told

    def close(self) -> None:
        """Closes the copies and ends their processes, also after errors; harmless when called again.

        Warns:
            UserWarning: some processes did not end, and were killed.
        """
        if isinstance(self._envs, SyncVectorEnv):
            self._envs.close()
            return
        try:
            if self._idle and not self._envs.closed:
                self._end()
        except (EOFError, ConnectionError):
            pass
        finally:
            if not self._envs.closed:
                self._kill()

    def _end(self) -> None:
        """Has the processes close their copies, and waits until they are gone, but not for ever."""
        seconds = self._timeout or _SECONDS_TO_CLOSE
        until = time.monotonic() + seconds
        for pipe in self._envs.parent_pipes:
            pipe.send(("close", None))
        for process in self._envs.processes:
            process.join(max(0.0, until - time.monotonic()))
        if left := sum(process.is_alive() for process in self._envs.processes):
            warnings.warn(
                f"expected processes that end within {seconds:g} s after their environments' close, killed "
                f"{left} that did not; their close, or a thread of theirs, hangs",
                stacklevel=3,
            )

    def _by_env(self, observation: NDArray[Any]) -> NDArray[Any]:
        """[process, slot, ...] -> [env, observation]."""
        return observation.reshape(-1, math.prod(observation.shape[2:]))[: self.num_envs]

    def _share(self, name: str, values: list[Any]) -> None:
        if len(values) != self.num_envs:
            raise ValueError(f"expected {name} for {self.num_envs} environments, got {len(values)}")
        shares = [values[i : i + self._slots] for i in range(0, self.num_envs, self._slots)]
        self._exchange("set_attr", name, shares)

    def _exchange(self, method: str, *arguments: Any) -> Any:
        self._idle = False
        try:
            if method == "set_attr" or isinstance(self._envs, SyncVectorEnv):
                result = getattr(self._envs, method)(*arguments)
            else:
                getattr(self._envs, f"{method}_async")(*arguments)
                result = getattr(self._envs, f"{method}_wait")(timeout=self._timeout)
        except TimeoutError as error:
            slow = self._slow_processes(method)
            self.close()
            raise ForeignEnvError(slow) from error
        except (EOFError, ConnectionError) as error:
            lost = self._lost_process()
            self.close()
            raise ForeignEnvError(lost) from error
        self._idle = True
        return result

    def _raise_fault(self, info: dict[str, Any]) -> None:
        for fault in info.get("fault", ()):
            if fault is not None:
                message, trace = fault
                self.close()
                raise ForeignEnvError(message) from RuntimeError(f"\n{trace}")

    def _slow_processes(self, method: str) -> str:
        waiting = [i for i, pipe in enumerate(self._envs.parent_pipes) if not pipe.poll()]
        first = waiting[0] * self._slots if waiting else 0
        last = min(first + self._slots, self.num_envs) - 1
        return (
            f"expected every process to answer a {method} within {self._timeout} s (timeout_seconds), got no "
            f"answer of {len(waiting)}, the first of which holds episodes {first} to {last} of the batch"
        )

    def _lost_process(self) -> str:
        processes = self._envs.processes
        ended = wait([process.sentinel for process in processes], _SECONDS_TO_END)
        found = "one that does not answer"
        for i, process in enumerate(processes):
            if process.sentinel in ended:
                process.join(_SECONDS_TO_END)
                code = process.exitcode or 0
                how = (
                    f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                )
                found = f"number {i} {how}"
        return (
            f"expected {len(processes)} processes with environments to run, got {found}; "
            "if memory ran out, use fewer processes or environments"
        )

    def _kill(self) -> None:
        for process in self._envs.processes:
            process.kill()
        for process, pipe in zip(self._envs.processes, self._envs.parent_pipes, strict=True):
            process.join()
            if pipe is not None:
                pipe.close()
        self._envs.closed = True


def _available_cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
