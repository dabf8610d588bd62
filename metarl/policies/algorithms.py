"""stable-baselines3's algorithms by name; the package is imported when one is asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

_PACKAGES = ("stable_baselines3", "sb3_contrib")


def find_algorithm(name: str) -> type[BaseAlgorithm]:
    """The algorithm class of stable-baselines3, or of sb3-contrib where it is installed.

    Raises:
        ValueError: none of that name.
    """
    base = import_module("stable_baselines3.common.base_class").BaseAlgorithm
    for package in filter(find_spec, _PACKAGES):
        found = getattr(import_module(package), name, None)
        if isinstance(found, type) and issubclass(found, base):
            return found
    raise ValueError(
        f'expected an algorithm of stable-baselines3 such as "PPO", or, with sb3-contrib installed '
        f'(pip install sb3-contrib), "TRPO"; got {name!r}'
    )
