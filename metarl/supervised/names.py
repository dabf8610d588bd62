"""What the sections of a supervised config name: where each thing is, to be imported when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from metarl.errors import ConfigError
from metarl.policies.plug_ins import find_named

_ROOM = "metarl.supervised"
NAMES: Mapping[str, Mapping[str, str]] = {
    "data": {
        "glyphs": f"{_ROOM}.data.glyphs:glyphs",
        "mini_imagenet": f"{_ROOM}.data.folders:mini_imagenet",
        "omniglot": f"{_ROOM}.data.folders:omniglot",
        "sinusoid": f"{_ROOM}.data.sinusoid:sinusoid",
    },
    "network": {
        "conv": f"{_ROOM}.networks.conv:conv",
        "mlp": f"{_ROOM}.networks.mlp:mlp",
    },
    "learner": {
        "anil": f"{_ROOM}.learners.anil:anil",
        "imaml": f"{_ROOM}.learners.imaml:imaml",
        "maml": f"{_ROOM}.learners.maml:maml",
        "maml_pp": f"{_ROOM}.learners.maml_pp:maml_pp",
        "matching": f"{_ROOM}.learners.matching:matching",
        "memory_augmented": f"{_ROOM}.learners.memory_augmented:memory_augmented",
        "meta_sgd": f"{_ROOM}.learners.meta_sgd:meta_sgd",
        "pre_training": f"{_ROOM}.learners.pre_training:pre_training",
        "prototypical": f"{_ROOM}.learners.prototypical:prototypical",
        "statistician": f"{_ROOM}.learners.statistician:statistician",
        "reptile": f"{_ROOM}.learners.reptile:reptile",
    },
}
"""Section -> name -> the function that builds it; its parameter `config` is the section's dataclass."""


def find_builder(section: str, name: object) -> Any:
    """The function that a name in a section stands for, or that "my_package:my_function" holds.

    Raises:
        ConfigError: no such name, or a module that cannot be imported or does not hold it.
    """
    known = NAMES[section]
    place = known.get(name, name) if isinstance(name, str) else name
    return find_named(f"{section}.name", place, known)


def settings_of(section: str, name: object) -> type[Any]:
    """The dataclass of a section's keys but `name`: the annotation of the builder's parameter `config`.

    Raises:
        ConfigError: as `find_builder`, or a builder without such a parameter.
    """
    builder = find_builder(section, name)
    try:
        found = inspect.signature(builder, eval_str=True).parameters["config"].annotation
    except (TypeError, ValueError, NameError, KeyError) as error:
        raise ConfigError(_no_settings(section, name)) from error
    if not (isinstance(found, type) and is_dataclass(found)):
        raise ConfigError(_no_settings(section, name))
    return found


def _no_settings(section: str, name: object) -> str:
    return (
        f"{section}.name: expected a function with a parameter config: MySettings, a dataclass, got {name!r}"
    )
