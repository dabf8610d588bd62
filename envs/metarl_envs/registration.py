"""The registry of families, and their ids in Gymnasium's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from metarl_envs.family import Family
from metarl_envs.half_cheetah import half_cheetah_dir, half_cheetah_vel
from metarl_envs.point import point_navigation

FamilyBuilder = Callable[..., Family]
FAMILIES: dict[str, FamilyBuilder] = {}


def register_family(name: str, builder: FamilyBuilder, horizon: int) -> None:
    """Makes a family available as "metarl/NAME-v0", single and vectorised.

    Args:
        name: the family's name, in capitals and lower case: "HalfCheetahVel".
        builder: keyword options (`preset` among them) -> `Family`; the options become those of
            `gymnasium.make` and `gymnasium.make_vec`.
        horizon: steps after which an episode is truncated.
    """
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

    Raises:
        ValueError: no such family, or an option it does not have.
    """
    if name not in FAMILIES:
        raise ValueError(f"expected a family among {sorted(FAMILIES)}, got {name!r}")
    try:
        return FAMILIES[name](**options)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error


def register_all() -> None:
    register_family("PointNavigation", point_navigation, horizon=100)
    register_family("HalfCheetahVel", half_cheetah_vel, horizon=200)
    register_family("HalfCheetahDir", half_cheetah_dir, horizon=200)
