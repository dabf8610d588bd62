"""A native batch as a stable-baselines3 `VecEnv`: the only module here that imports stable-baselines3.

Spaces, dtypes and results are those of stable-baselines3's own `DummyVecEnv` over `gymnasium.make`:
float64 observations, so that a model trained on one can be loaded with the other; float32 rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from metarl_envs.arguments import check_at_least, check_kind, check_seed, told
from metarl_envs.tasks import Task, Tasks, unstack_tasks
from metarl_envs.vector_env import VectorTaskEnv

_SINGLE = {"observation_space": "single_observation_space", "action_space": "single_action_space"}


def make_sb3_vec_env(
    env_id: str,
    num_envs: int,
    *,
    task: Mapping[str, Any] | None = None,
    tasks: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
    seed: int | None = None,
    **options: Any,
) -> VecMonitor:
    """Builds a native batch for stable-baselines3, monitored as by its `make_vec_env`.

    Args:
        env_id: a registered family: "metarl/HalfCheetahVel-v0".
        num_envs: number of environments.
        task: the task of all of them.
        tasks: their tasks, as `VectorTaskEnv.set_tasks` takes them; not together with `task`.
        seed: environment i is seeded with seed + i at the first reset.
        options: those of `gymnasium.make_vec`, e.g. `preset` and `num_threads`.

    Raises:
        TypeError: an environment's name that is no text.
        ValueError: `task` and `tasks` at once, or an argument outside its range.
        gymnasium.error.Error: no such environment, or it has no native batch.
    """
    check_kind(str, "an environment's name", env_id=env_id)
    check_at_least(1, num_envs=num_envs)
    check_seed(seed)
    if task is not None and tasks is not None:
        raise ValueError("expected task, the same for all environments, or tasks, one each; got both")
    if "autoreset_mode" in options:
        raise ValueError("expected no autoreset_mode: stable-baselines3 wants SameStep")
    options |= {"vectorization_mode": "vector_entry_point", "autoreset_mode": "SameStep"}
    try:
        made: Any = gymnasium.make_vec(env_id, num_envs, **options)
    except TypeError as error:  # another package's batch, which does not take these
        raise ValueError(f"expected one of metarl's natively batched environments, got {env_id!r}") from error
    envs = TaskVecEnv(made)
    if task is not None:
        envs.set_tasks([task] * num_envs)
    if tasks is not None:
        envs.set_tasks(tasks)
    if seed is not None:
        envs.seed(seed)
    return VecMonitor(envs)


class TaskVecEnv(VecEnv):
    """Stable-baselines3's interface to the environments of one `VectorTaskEnv`.

    Infos are the single environment's, with `TimeLimit.truncated` and, at an episode's end,
    `terminal_observation`.

    Args:
        envs: a batch with `autoreset_mode="SameStep"`.

    Raises:
        TypeError: no `VectorTaskEnv`.
        ValueError: another autoreset mode.
    """

    def __init__(self, envs: VectorTaskEnv) -> None:
        check_kind(VectorTaskEnv, "a VectorTaskEnv", envs=envs)
        if envs.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f'expected a batch with autoreset_mode="SameStep", got "{envs.autoreset_mode.value}"'
            )
        self.envs = envs
        self.spec = envs.spec
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata["render_fps"] = envs.metadata["render_fps"]

    def set_tasks(self, tasks: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Gives every environment its task, as `VectorTaskEnv.set_tasks`."""
        self.envs.set_tasks(tasks)

    def get_tasks(self) -> Tasks:
        """A copy of the tasks, [env, ...] each."""
        return self.envs.get_tasks()

    def sample_tasks(self, n: int) -> list[Task]:
        """Draws n tasks from the family's task space."""
        return self.envs.sample_tasks(n)

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Keeps `task` for the next reset: one dict for all environments, or one each.

        Raises:
            ValueError: another key, or another number of dicts than environments.
        """
        each = options if isinstance(options, list) else [{} if options is None else options] * self.num_envs
        if not all(isinstance(one, dict) and set(one) <= {"task"} for one in each):
            raise ValueError(f"expected options with the key 'task' alone, got {told(options)}")
        if len(each) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} options, one dict per environment, got {len(each)}")
        super().set_options(each)

    def reset(self) -> NDArray[np.float64]:
        """Starts new episodes everywhere, with the seeds and tasks kept for it; [env, observation]."""
        options: dict[str, Any] = {}
        if any(self._options):
            current = unstack_tasks(self.envs.get_tasks())
            options["tasks"] = [new.get("task", now) for new, now in zip(self._options, current, strict=True)]
        # `seed` gave environment i the first seed + i.
        observation, info = self.envs.reset(seed=self._seeds[0], options=options)
        self.reset_infos = [{"task": task} for task in _rows(info["task"])]
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        observation, reward, terminated, truncated, info = self.envs.step(self._actions)
        dones = terminated | truncated
        step_info = info.get("final_info", info)  # of the steps taken, before any new start
        columns = {name: values for name, values in step_info.items() if _is_of_step(name)}
        columns |= {"task": _rows(step_info["task"]), "TimeLimit.truncated": truncated & ~terminated}
        infos = _rows(columns)
        if dones.any():
            tasks = _rows(self.envs.get_tasks())
            for i in np.flatnonzero(dones):
                infos[i]["terminal_observation"] = info["final_obs"][i]
                self.reset_infos[i] = {"task": tasks[i]}
        return observation, reward.astype(np.float32), dones, infos

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture per environment, where the batch was made with `render_mode="rgb_array"`."""
        frames: Any = self.envs.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the batch or its family, which the environments share, once for each of them."""
        name = _SINGLE.get(attr_name, attr_name)
        value = getattr(self.envs if hasattr(self.envs, name) else self.envs.family, name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the batch.

        Raises:
            ValueError: for some of the environments only: they share it.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise ValueError(
                f"expected to set {attr_name!r} for all environments: they share it; got {indices!r}; "
                "env_method('set_task', task, indices=...) gives some of them a task"
            )
        setattr(self.envs, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of the single environment: `set_task`, `get_task`, `sample_tasks` or `render`.

        Raises:
            AttributeError: another method.
            ValueError: an index of no environment.
        """
        methods: dict[str, Callable[..., list[Any]]] = {
            "set_task": self._set_task,
            "get_task": self._get_task,
            "sample_tasks": lambda envs, n: [self.envs.sample_tasks(n) for _ in envs],
            "render": lambda envs: [self.get_images()[i] for i in envs],
        }
        if not isinstance(method_name, str) or method_name not in methods:
            raise AttributeError(
                f"expected a method among {sorted(methods)}, got {told(method_name)}; "
                "the batch itself is `.envs`"
            )
        return methods[method_name](self._places(indices), *method_args, **method_kwargs)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """False for each: there are no single environments to wrap."""
        return [False for _ in self._get_indices(indices)]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds environment i with seed + i at the next reset, or all by chance.

        Raises:
            ValueError: neither None nor an integer >= 0.
        """
        check_seed(seed)
        return super().seed(seed)

    def _places(self, indices: VecEnvIndices) -> list[int]:
        chosen = [indices] if isinstance(indices, int | np.integer) else indices
        if chosen is None:
            return list(range(self.num_envs))
        if not isinstance(chosen, Iterable):
            raise ValueError(f"expected indices of environments, got {told(indices)}")
        places = list(chosen)
        for place in places:
            check_at_least(-self.num_envs, self.num_envs - 1, **{"an environment's index": place})
        return places

    def _set_task(self, envs: list[int], task: Mapping[str, Any]) -> list[None]:
        tasks: list[Mapping[str, Any]] = list(unstack_tasks(self.envs.get_tasks()))
        for i in envs:
            tasks[i] = task
        self.envs.set_tasks(tasks)
        return [None] * len(envs)

    def _get_task(self, envs: list[int]) -> list[Task]:
        tasks = list(unstack_tasks(self.envs.get_tasks()))
        return [tasks[i] for i in envs]


def _is_of_step(name: str) -> bool:
    """Whether a key of the batch's info holds one value per environment, rather than a mask or the task."""
    return name[0] != "_" and name not in ("task", "final_obs", "final_info")


def _rows(columns: Mapping[str, NDArray[Any] | list[Any]]) -> list[dict[str, Any]]:
    """Name -> [env, ...], as one dict per environment; numbers become Python's."""
    rows: list[dict[str, Any]] = [{} for _ in range(len(next(iter(columns.values()))))]
    # Column by column is the fastest way to many small dicts; others cost as much time as native steps save.
    for name, values in columns.items():
        if isinstance(values, np.ndarray) and values.ndim == 1:
            values = values.tolist()
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows
