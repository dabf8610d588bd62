"""A registered name stands for one thing."""

from dataclasses import dataclass

import metarl_envs
import pytest
from metarl_envs import FAMILIES

import metarl
from metarl.policies.registry import POLICIES
from tests.user_package.learner import cautious
from tests.user_package.policies import LayerNormMLP


def test_a_name_is_one_things_alone():
    """What is defined anew under its own name takes the place of its former self."""

    def families(name):
        return metarl_envs.register_family(name, FAMILIES["AntVel"], 100)

    for register, name in (
        (lambda name: metarl.register_policy(name, LayerNormMLP), "gaussian_mlp"),
        (lambda name: metarl.register_meta_learner(name, cautious), "maml"),
        (families, "PointNavigation"),
    ):
        with pytest.raises(ValueError, match=f"expected a name that is free, got '{name}'"):
            register(name)
    metarl.register_policy("gaussian_mlp", POLICIES["gaussian_mlp"])
    anew = dataclass(frozen=True)(type("GaussianMLP", (POLICIES["gaussian_mlp"],), {}))
    anew.__module__ = POLICIES["gaussian_mlp"].__module__
    former = POLICIES["gaussian_mlp"]
    try:
        metarl.register_policy("gaussian_mlp", anew)
        assert POLICIES["gaussian_mlp"] is anew
    finally:
        POLICIES["gaussian_mlp"] = former
    with pytest.raises(ValueError, match="horizon: expected an integer > 0, got 0"):
        metarl_envs.register_family("Endless", FAMILIES["AntVel"], 0)
    assert "Endless" not in FAMILIES
