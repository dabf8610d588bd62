"""Meta-World's meta-learning benchmarks ML1, ML10 and ML45 (Yu et al. 2020); needs the extra "metaworld".

Built from the `metaworld.ML1`, `ML10` and `ML45` classes, since the ids that Meta-World registers choose
their tasks themselves, and `Meta-World/ML1-train` chooses test tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box
from numpy.typing import NDArray

from metarl_envs.arguments import check_at_least, told
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Task

BENCHMARKS = ("ML1", "ML10", "ML45")
HORIZON = 500


class MetaWorldEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """A Sawyer arm that manipulates an object; what `gymnasium.make("metarl/MetaWorldML10-v0")` returns.

    Task: `index`, a number into the benchmark's training tasks followed by its test tasks; 50 for
    each manipulation, which the task chooses too. Observation (39): hand, gripper and objects, now and one
    step before, and zeros for the goal, which is hidden. Reward in [0, 10]; `info["success"]` is 0 or 1. The
    start is the task's: a seed only chooses tasks. Episodes end by the time limit.

    Args:
        benchmark: "ML1", "ML10" or "ML45".
        env_name: ML1's manipulation, e.g. "reach-v3".
        split: whose tasks `sample_tasks` draws, "train" or "test".
        seed: chooses the benchmark's goals.

    Raises:
        DependencyNotInstalled: Meta-World is not there.
        ValueError: an argument outside its range.
    """

    def __init__(
        self,
        benchmark: str,
        env_name: str | None = None,
        split: Literal["train", "test"] = "train",
        seed: int = 0,
    ) -> None:
        if not isinstance(split, str) or split not in ("train", "test"):
            raise ValueError(f'expected split to be "train" or "test", got {told(split)}')
        if not isinstance(benchmark, str) or benchmark not in BENCHMARKS:
            raise ValueError(f"expected benchmark to be one of {list(BENCHMARKS)}, got {told(benchmark)}")
        if not isinstance(env_name, str | None):
            raise ValueError(f'expected env_name, e.g. "reach-v3", got {told(env_name)}')
        check_at_least(0, seed=seed)
        if (benchmark == "ML1") != (env_name is not None):
            raise ValueError(
                f'{benchmark}: expected env_name, e.g. "reach-v3", for ML1 alone, got {env_name!r}'
            )
        self.observation_space = Box(-np.inf, np.inf, (39,), np.float64)
        self.action_space = Box(-1.0, 1.0, (4,), np.float32)
        self._benchmark = load_benchmark(benchmark, env_name, seed)
        self._tasks = [*self._benchmark.train_tasks, *self._benchmark.test_tasks]
        self._classes = {**self._benchmark.test_classes, **self._benchmark.train_classes}
        self._split = split
        self._index = 0 if split == "train" else len(self._benchmark.train_tasks)
        self._env: Any = None
        self._env_name = ""

    def sample_tasks(self, n: int) -> list[Task]:
        """Draws n tasks of the split, equally many of each manipulation.

        Where n is no multiple of the number of manipulations, the last few are of manipulations drawn at
        random. No goal comes twice before all goals of its manipulation have come.
        """
        return self._sample(n, self._split)

    def sample_held_out_tasks(self, n: int) -> list[Task]:
        """Draws n test tasks, whatever the split."""
        return self._sample(n, "test")

    def set_task(self, task: Mapping[str, Any]) -> None:
        """Sets the task, from the next reset on.

        Raises:
            ValueError: not an `index` of the benchmark's tasks.
        """
        numbers = range(len(self._tasks))
        given: Any = task["index"] if isinstance(task, Mapping) and set(task) == {"index"} else None
        if np.ndim(given) or given not in numbers:
            raise ValueError(f"expected a task {{'index': 0 to {numbers[-1]}}}, got {told(task)}")
        self._index = int(given)

    def get_task(self) -> Task:
        return {"index": float(self._index)}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; `options["task"]` sets the task first."""
        super().reset(seed=seed)
        if options and "task" in options:
            self.set_task(options["task"])
        task = self._tasks[self._index]
        if self._env_name != task.env_name:  # one simulation at a time: each takes megabytes
            self.close()
            self._env, self._env_name = self._classes[task.env_name](), task.env_name
        self._env.set_task(task)
        observation, info = self._env.reset()
        return observation, info

    def step(self, action: NDArray[np.floating[Any]]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Steps the environment.

        Raises:
            RuntimeError: called before `reset`.
        """
        if self._env is None:
            raise RuntimeError("expected reset() before the first step()")
        observation, reward, terminated, truncated, info = self._env.step(action)
        return observation, float(reward), bool(terminated), bool(truncated), info

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env, self._env_name = None, ""

    def _sample(self, n: int, split: str) -> list[Task]:
        check_at_least(1, n=n)
        train = len(self._benchmark.train_tasks)
        start, stop = (0, train) if split == "train" else (train, len(self._tasks))
        names = [task.env_name for task in self._tasks[start:stop]]
        return [{"index": float(start + i)} for i in balanced(names, n, self.np_random)]


def balanced(groups: Sequence[str], n: int, rng: np.random.Generator) -> list[int]:
    """n indices with every group in turn, in the groups' order; the last, incomplete turn is drawn.

    A place in the list then mostly belongs to the same group, whose simulation is kept.
    """
    members = {name: [i for i, group in enumerate(groups) if group == name] for name in dict.fromkeys(groups)}
    names = list(members)
    turns, rest = divmod(n, len(names))
    order = names * turns + [names[i] for i in sorted(rng.permutation(len(names))[:rest])]
    drawn: dict[str, list[int]] = {name: [] for name in names}
    chosen = []
    for name in order:
        drawn[name] = drawn[name] or rng.permutation(members[name]).tolist()
        chosen.append(drawn[name].pop())
    return chosen


@cache
def load_benchmark(name: str, env_name: str | None, seed: int) -> Any:
    """Meta-World's benchmark object, once per process: its tasks are drawn by running every environment.

    Raises:
        DependencyNotInstalled: Meta-World is not there.
        ValueError: no such benchmark or environment.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"expected benchmark to be one of {list(BENCHMARKS)}, got {name!r}")
    try:
        metaworld = import_module("metaworld")
    except ModuleNotFoundError as error:
        raise DependencyNotInstalled(
            f"expected Meta-World, found no module {error.name}; install metarl with it, "
            'pip install ".[metaworld]", in a virtual environment of its own: it takes an older mujoco'
        ) from error
    benchmark = getattr(metaworld, name)
    if env_name is None:
        return benchmark(seed=seed)
    if env_name not in benchmark.ENV_NAMES:
        raise ValueError(f"expected env_name to be one of {list(benchmark.ENV_NAMES)}, got {env_name!r}")
    return benchmark(env_name, seed=seed)
