"""The environments and tasks of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any, Literal, Protocol

import gymnasium
import numpy as np
from metarl_envs.family import Family
from metarl_envs.foreign.adapters import SampledTasks
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv
from metarl_envs.foreign.outcomes import told_exception
from metarl_envs.tasks import Task, Tasks, TaskSpace, number_of_tasks, number_tasks
from metarl_envs.vector_env import VectorTaskEnv
from numpy.typing import NDArray

from metarl.compute.task_map import available_cpus
from metarl.errors import ConfigError, one_line
from metarl.experiment.experiments import CommonConfig, RunConfig
from metarl.experiment.sections import EnvironmentConfig
from metarl.rollouts.random_keys import HELD_OUT_TASKS

HELD_OUT, EXISTING, DRAWN = "held-out", "existing", "drawn"
"""What evaluation tasks are: none of them trained on; all that exist, trained on or not; or not known."""
BEYOND = "out-of-distribution"
"""Evaluation tasks beyond the range of those of training."""
_NATIVE = f"{VectorTaskEnv.__module__}:{VectorTaskEnv.__qualname__}"
"""`vector_entry_point` of every family."""


class TaskDistribution(Protocol):
    """Samples and checks tasks: a `TaskSpace`, or an adapter of an environment."""

    def sample(self, n: int, rng: np.random.Generator) -> Tasks: ...

    def sample_held_out(self, n: int, rng: np.random.Generator) -> Tasks: ...

    def validate(self, task: Mapping[str, Any]) -> Task: ...


def held_out_tasks(config: CommonConfig, n: int, seed: int) -> Tasks:
    """As `Experiment.held_out_tasks`, of a config that needs no meta-learner.

    Raises:
        ConfigError: the environment cannot be had.
    """
    return sample_held_out(task_distribution(config), n, seed)


def task_distribution(config: CommonConfig) -> TaskDistribution:
    """The tasks of a config's environment.

    Raises:
        ConfigError: the environment cannot be had.
    """
    with closing(make_envs(config, 1)) as one:
        return distribution_of(config, one)


def sample_held_out(distribution: TaskDistribution, n: int, seed: int) -> Tasks:
    return distribution.sample_held_out(n, np.random.default_rng([seed, 0, HELD_OUT_TASKS]))


def strata_of(source: TaskDistribution, tasks: Tasks) -> NDArray[np.int64] | None:
    """The tasks' numbers, [task], where the list holds all tasks that exist; None for drawn ones."""
    numbers = number_tasks(tasks)
    size = source.size if isinstance(source, TaskSpace) else None
    return numbers if size == len(np.unique(numbers)) else None


def list_name(source: TaskDistribution, tasks: Tasks) -> str:
    """`HELD_OUT`, `EXISTING` or `DRAWN`: what all that tells of evaluation tasks calls them.

    Tasks of an environment of others are held out where it has `sample_held_out_tasks`, and drawn else: how
    many exist is not known.
    """
    if isinstance(source, TaskSpace):
        return HELD_OUT if source.size is None else EXISTING
    return HELD_OUT if isinstance(source, SampledTasks) and source.holds_out else DRAWN


def held_out_phrase(source: TaskDistribution, tasks: Tasks) -> str:
    """What a list of evaluation tasks is: "40 held-out tasks", or "its 2 tasks, 20 times each"."""
    count, different = number_of_tasks(tasks), _different(tasks)
    if not isinstance(source, TaskSpace) or source.size is None:
        repeated = "" if different == count else f" ({different} different)"
        return f"{count} {list_name(source, tasks)} task{'s' * (count > 1)}{repeated}"
    times, more = divmod(count, source.size)
    if not times:
        return f"{count} of its {source.size} tasks"
    often = f"{times} or {times + 1} times each" if more else f"{times} times each"
    return f"its {source.size} tasks" + f", {often}" * (count > source.size)


def _different(tasks: Tasks) -> int:
    return len(np.unique(number_tasks(tasks)))


def distribution_of(config: CommonConfig, envs: VectorTaskEnv | ForeignVectorEnv) -> TaskDistribution:
    if isinstance(envs, VectorTaskEnv):
        return envs.family.task_space
    with _unusable_tasks():
        return _EnvironmentTasks(make_env(config))


class _EnvironmentTasks(SampledTasks):
    """Raises ConfigError where the environment draws what are no tasks."""

    def sample(self, n: int, rng: np.random.Generator) -> Tasks:
        with _unusable_tasks():
            return super().sample(n, rng)

    def sample_held_out(self, n: int, rng: np.random.Generator) -> Tasks:
        with _unusable_tasks():
            return super().sample_held_out(n, rng)


@contextmanager
def _unusable_tasks() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, ConfigError):
        raise
    except ValueError as error:
        raise ConfigError(f"environment.id: {one_line(error)}") from error
    except BaseException as error:
        raise ConfigError(
            f"environment.id: expected an environment that gives tasks, got {told_exception(error)}"
        ) from error


def family_of(config: CommonConfig) -> Family | None:
    """The task family of a config's environment; None of an environment that is not one of metarl's.

    Raises:
        ConfigError: the environment cannot be had.
    """
    with closing(make_envs(config, 1)) as one:
        return one.family if isinstance(one, VectorTaskEnv) else None


def make_env(config: CommonConfig) -> gymnasium.Env[Any, Any]:
    """One ordinary environment of the config, at its horizon."""
    environment = config.environment
    return gymnasium.make(
        environment.id,
        max_episode_steps=environment.horizon,
        disable_env_checker=True,  # the sampler checks, and names the task
        **environment.options,
    )


def vectorization(environment: EnvironmentConfig) -> Literal["native", "sync", "async"]:
    """How an environment is vectorised: as its config says, or natively where it can be, and else one by one.

    A module that its id names is imported.

    Raises:
        ConfigError: that module cannot be imported.
    """
    if environment.vectorization != "auto":
        return environment.vectorization
    module, _, name = environment.id.rpartition(":")
    try:
        if module:
            import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's module may fail in any way
        found = f"{environment.id!r}: {told_exception(error)}"
        raise ConfigError(
            f"environment.id: expected a module in PYTHONPATH and a colon, got {found}"
        ) from error
    spec = gymnasium.registry.get(name)
    return "native" if spec is None or spec.vector_entry_point == _NATIVE else "sync"


def as_built(config: RunConfig) -> dict[str, Any]:
    """The resolved config, with what it leaves to the environment as well.

    Raises:
        ConfigError: as `vectorization`.
    """
    sections = config.as_dict()
    if isinstance(config, CommonConfig):
        sections["environment"]["vectorization"] = vectorization(config.environment)
    return sections


def make_envs(config: CommonConfig, num_envs: int) -> VectorTaskEnv | ForeignVectorEnv:
    """The vector environment of the config.

    Raises:
        ConfigError: no such environment, or options it does not take.
    """
    environment, kind = config.environment, vectorization(config.environment)
    foreign = (
        f"environment.vectorization: {environment.id} is not one of metarl's environments; "
        'expected "sync" or "async", got "native"'
    )
    try:
        if kind != "native":
            processes, seconds = int(config.sampling.num_threads), int(config.sampling.timeout_seconds)
            return ForeignVectorEnv(lambda: make_env(config), num_envs, kind, processes, seconds)
        spec = gymnasium.registry.get(environment.id)
        if spec is not None and spec.vector_entry_point is None:
            raise ConfigError(foreign)
        envs = gymnasium.make_vec(
            environment.id,
            num_envs=num_envs,
            vectorization_mode="vector_entry_point",
            max_episode_steps=environment.horizon,
            num_threads=int(config.sampling.num_threads) or available_cpus(),
            autoreset_mode="Disabled",
            **environment.options,
        )
    except (KeyboardInterrupt, ConfigError):
        raise
    except (gymnasium.error.Error, ValueError, TypeError, ModuleNotFoundError) as error:
        raise ConfigError(f"environment: {one_line(error)}") from error
    except BaseException as error:
        found = told_exception(error)
        raise ConfigError(f"environment: expected an environment that can be made, got {found}") from error
    native = envs.unwrapped
    if not isinstance(native, VectorTaskEnv):
        raise ConfigError(foreign)
    return native
