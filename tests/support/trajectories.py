"""Environments of every registered id and preset, and whole trajectories recorded for exact comparison."""

from __future__ import annotations

import ast
import re
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
from metarl_envs import unstack_tasks

Trajectory = dict[str, np.ndarray]
"""Name -> [step, env, ...]; without the env axis for a single environment."""


class Case(NamedTuple):
    """One registered id with one of its presets."""

    env_id: str
    options: dict[str, Any]

    def make(self, **options):
        return gymnasium.make(self.env_id, **self.options, **options)

    def make_vec(self, num_envs=3, **options):
        options = {"autoreset_mode": "Disabled", **options}
        return gymnasium.make_vec(
            self.env_id, num_envs, vectorization_mode="vector_entry_point", **self.options, **options
        )

    def tasks(self, n, seed=0):
        return list(unstack_tasks(self.family.task_space.sample(n, np.random.default_rng(seed))))

    @property
    def family(self):
        return self.make_vec(1).unwrapped.family

    def __str__(self):
        return f"{self.env_id.removeprefix('metarl/')}[{self.options.get('preset', 'default')}]"


def existing_presets(env_id: str) -> list[str]:
    """The presets of an id, as its error message lists them."""
    with pytest.raises(ValueError, match="expected preset to be one of") as error:
        gymnasium.make(env_id, preset="no such preset")
    return ast.literal_eval(re.search(r"\[.*?\]", str(error.value)).group())


CASES = [
    Case(env_id, options)
    for env_id, spec in sorted(gymnasium.registry.items())
    if env_id.startswith("metarl/") and spec.vector_entry_point  # those of metarl's own families
    for options in [{}, *({"preset": preset} for preset in existing_presets(env_id))]
]
IDS = [case for case in CASES if not case.options]
"""For what cannot depend on the preset."""


def random_actions(envs, steps: int, seed: int = 0) -> np.ndarray:
    """Uniform in the environments' action box; [step, env, action]."""
    space = envs.action_space
    return (
        np.random.default_rng(seed).uniform(space.low, space.high, (steps, *space.shape)).astype(np.float32)
    )


def play(envs, actions, *, seed=None, options=None) -> Trajectory:
    """Resets where a seed is given, then plays the actions; the first observation is the reset's."""
    start = [] if seed is None else [envs.reset(seed=seed, options=options)[0]]
    steps = [envs.step(action) for action in actions]
    observations, rewards, terminated, truncated, infos = zip(*steps, strict=True)
    told = {name: np.array([info[name] for info in infos]) for name in numbers(infos[0])}
    return {
        "observation": np.array([*start, *observations]),
        "reward": np.array(rewards),
        "terminated": np.array(terminated),
        "truncated": np.array(truncated),
        **told,
    }


def numbers(info) -> dict[str, Any]:
    """What a step's info tells beside the task: reward terms and diagnostics."""
    return {name: value for name, value in info.items() if not name.startswith(("_", "task", "final_"))}


def reward_terms(info) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name.startswith("reward_")}


def first_end(trajectory: Trajectory) -> np.ndarray:
    """The step at which each environment's episode ended, or the number of steps; [env]."""
    over = trajectory["terminated"] | trajectory["truncated"]
    return np.where(over.any(0), over.argmax(0), len(over))


def of_envs(trajectory: Trajectory, index) -> Trajectory:
    return {name: values[:, index] for name, values in trajectory.items()}


def assert_same(actual: Trajectory, expected: Trajectory) -> None:
    """Equal bit for bit."""
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(actual[name], values, err_msg=name, strict=True)


def fill(value, garbage):
    """Overwrites every array in a step's or reset's return, however deep."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        value[...] = garbage
    elif isinstance(value, dict | tuple | np.ndarray):
        for part in value.values() if isinstance(value, dict) else value:
            fill(part, garbage)
