"""The registry of families, and their ids in Gymnasium's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

import gymnasium

from metarl_envs.arguments import check_callable, told
from metarl_envs.families.ant import ant_dir, ant_dir_2d, ant_goal, ant_vel
from metarl_envs.families.half_cheetah import half_cheetah_dir, half_cheetah_vel
from metarl_envs.families.hopper import hopper_rand_params
from metarl_envs.families.humanoid import humanoid_dir_2d
from metarl_envs.families.point import point_navigation, sparse_point
from metarl_envs.families.swimmer import swimmer_vel
from metarl_envs.families.walker_2d import walker_2d_dir, walker_2d_rand_params, walker_2d_vel
from metarl_envs.family import Family
from metarl_envs.foreign import meta_world

FamilyBuilder = Callable[..., Family]
FAMILIES: dict[str, FamilyBuilder] = {}
_SHARED_OPTIONS = ("out_of_distribution", "observe_task")
_TRUTH_VALUES = (bool, bool | None, "bool", "bool | None")


def register_family(name: str, builder: FamilyBuilder, horizon: int) -> None:
    """Makes a family available as "metarl/NAME-v0", single and vectorised.

    Args:
        name: the family's name, in capitals and lower case: "HalfCheetahVel".
        builder: keyword options (`preset` among them) -> `Family`; the options become those of
            `gymnasium.make` and `gymnasium.make_vec`.
        horizon: steps after which an episode is truncated.

    Raises:
        TypeError: a builder that cannot be called.
        ValueError: no name, or that of another family, or a horizon below 1.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f'name: expected letters and digits, such as "HalfCheetahVel", got {told(name)}')
    check_callable(builder=builder)
    if isinstance(horizon, bool) or not isinstance(horizon, int) or not 0 < horizon < 2**63:
        raise ValueError(f"horizon: expected an integer > 0, got {told(horizon)}")
    held = FAMILIES.get(name, builder)
    if _definition(held) != _definition(builder):
        raise ValueError(f"expected a name that is free, got {name!r}, which is that of {told(held)}")
    FAMILIES[name] = builder
    gymnasium.register(
        id=f"metarl/{name}-v0",
        entry_point="metarl_envs.single_env:TaskEnv",
        vector_entry_point="metarl_envs.vector_env:VectorTaskEnv",
        max_episode_steps=horizon,
        kwargs={"family": name},
    )


def build_family(name: str, options: dict[str, Any]) -> Family:
    """Builds a registered family.

    Every family takes `out_of_distribution`: a scale s > 1 for tasks outside the usual range, up to s
    times as wide (`TaskSpace.beyond`); and `observe_task`: whether observations end with the task.

    Raises:
        ValueError: no such family, or an option it does not have.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(f"expected a family among {sorted(FAMILIES)}, got {told(name)}")
    parameters = signature(FAMILIES[name]).parameters
    known = [*parameters, *_SHARED_OPTIONS]
    if unknown := [option for option in options if option not in known]:
        raise ValueError(f"{name}: expected options among {known}, got {unknown[0]!r}")
    scale, observe_task = options.get("out_of_distribution"), options.get("observe_task", False)
    flags = [option for option, one in parameters.items() if one.annotation in _TRUTH_VALUES]
    for option in ("observe_task", *flags):
        value = options.get(option, False)
        may_be_none = option in flags and parameters[option].default is None
        if not isinstance(value, bool) and not (value is None and may_be_none):
            raise ValueError(f"{name}: expected {option} to be true or false, got {told(value)}")
    own = {option: value for option, value in options.items() if option not in _SHARED_OPTIONS}
    try:
        family = replace(FAMILIES[name](**own), observe_task=observe_task)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error
    return family if scale is None else replace(family, task_space=family.task_space.beyond(scale))


def _definition(builder: FamilyBuilder) -> object:
    """What is the same of a builder whose module was read again."""
    place = getattr(builder, "__module__", None), getattr(builder, "__qualname__", None)
    return builder if None in place else place


def register_all() -> None:
    register_family("PointNavigation", point_navigation, horizon=100)
    register_family("SparsePoint", sparse_point, horizon=20)
    register_family("HalfCheetahVel", half_cheetah_vel, horizon=200)
    register_family("HalfCheetahDir", half_cheetah_dir, horizon=200)
    register_family("AntVel", ant_vel, horizon=200)
    register_family("AntDir", ant_dir, horizon=200)
    register_family("AntDir2D", ant_dir_2d, horizon=200)
    register_family("AntGoal", ant_goal, horizon=200)
    register_family("HumanoidDir2D", humanoid_dir_2d, horizon=200)
    register_family("SwimmerVel", swimmer_vel, horizon=200)
    register_family("Walker2DDir", walker_2d_dir, horizon=200)
    register_family("Walker2DVel", walker_2d_vel, horizon=200)
    register_family("HopperRandParams", hopper_rand_params, horizon=200)
    register_family("Walker2DRandParams", walker_2d_rand_params, horizon=200)
    for benchmark in meta_world.BENCHMARKS:
        gymnasium.register(
            id=f"metarl/MetaWorld{benchmark}-v0",
            entry_point="metarl_envs.foreign.meta_world:MetaWorldEnv",
            max_episode_steps=meta_world.HORIZON,
            kwargs={"benchmark": benchmark},
        )
