"""Names in configs -> policy classes, whose fields are the keys of the config's policy section."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from metarl_envs.arguments import told

from metarl.errors import ConfigError
from metarl.policies.belief import BeliefPolicy
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.plug_ins import check_registered_name, find_named
from metarl.policies.posterior import PosteriorPolicy
from metarl.policies.recurrent import GruPolicy
from metarl.policies.squashed_gru import SquashedGruPolicy

SIZES = ("observation_size", "action_size")
"""Fields of every policy class, which the environment determines."""
METHODS = ("__call__", "initial_parameters")
REMEMBERING = ("initial_parameters", "begin_trial", "begin_episode", "act", "observe")
"""Methods of a policy class, and of one with memory, whose `act` takes the place of a call."""
RESERVED = ("name", "start_from", "normalise_observations")
"""Keys of the policy section that are no fields."""
POLICIES: dict[str, type[Any]] = {
    "gaussian_mlp": GaussianMLP,
    "gru": GruPolicy,
    "belief": BeliefPolicy,
    "posterior": PosteriorPolicy,
    "squashed_gru": SquashedGruPolicy,
}


def register_policy(name: str, policy: type[Any]) -> None:
    """Makes a policy class available as `policy.name` in configs, within this process.

    Commands are processes of their own: for them, name the class with its module, "my_package:MyPolicy".

    Args:
        name: without a colon, e.g. "layer_norm_mlp".
        policy: a frozen dataclass (`metarl.policies.policy.Policy`). Its fields `observation_size` and
            `action_size` come from the environment; the others are keys of the config, with their types and
            defaults. A ValueError of its `__post_init__` starts with the name of the field.

    Raises:
        ValueError: a name with a colon or of another policy, or a class of another shape.

    Examples:
        >>> metarl.register_policy("layer_norm_mlp", LayerNormMLP)
        >>> metarl.train("quickstart", overrides={"policy": {"name": "layer_norm_mlp"}})
    """
    _check(policy)
    check_registered_name(name, policy, POLICIES)
    POLICIES[name] = policy


def find_policy(name: str) -> type[Any]:
    """The policy class that is registered under a name, or that "my_package:MyPolicy" stands for.

    Raises:
        ConfigError: no such class, or one of another shape.
    """
    policy: type[Any] = find_named("policy.name", name, POLICIES)
    try:
        _check(policy)
    except ValueError as error:
        raise ConfigError(f"policy.name: {name}: {error}") from error
    return policy


def _check(policy: object) -> None:
    if not (isinstance(policy, type) and is_dataclass(policy)):
        raise ValueError(f"expected a policy class that is a frozen dataclass, got {told(policy)}")
    names = [field.name for field in fields(policy)]
    if missing := [size for size in SIZES if size not in names]:
        raise ValueError(f"expected a policy class with the fields {list(SIZES)}, got one without {missing}")
    if taken := [key for key in RESERVED if key in names]:
        raise ValueError(f"expected fields other than {list(RESERVED)}, which configs have, got {taken}")
    methods = {name for base in policy.__mro__ for name in vars(base)}
    needed = REMEMBERING if "begin_trial" in methods else METHODS
    if missing := [name for name in needed if name not in methods]:
        name = policy.__name__
        raise ValueError(f"expected a policy class with {list(needed)}, got {name} without {missing}")
