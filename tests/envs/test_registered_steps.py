"""What holds for every step of every registered environment and preset."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from metarl_envs.family import never_terminated

from tests.support.trajectories import CASES, IDS, fill, numbers, play, random_actions, reward_terms

pytestmark = pytest.mark.parametrize("case", CASES, ids=str)


def test_reward_is_the_sum_of_its_named_terms(case):
    envs = case.make_vec(4)
    envs.reset(seed=0, options={"tasks": case.tasks(4)})
    active = np.ones(4, bool)
    for action in random_actions(envs, 10):
        _, reward, terminated, truncated, info = envs.step(action)
        terms = reward_terms(info)
        assert terms
        np.testing.assert_allclose(reward, sum(terms.values()), rtol=0, atol=1e-12)
        for name in terms:
            np.testing.assert_array_equal(info[f"_{name}"], active)
        active = ~(terminated | truncated)


def extreme_actions(envs, steps):
    """By environment: alternating full control, all forward, all backward, far outside, random."""
    space = envs.action_space
    actions = random_actions(envs, steps).astype(np.float64)
    actions[:, 0] = space.high[0] * (-1.0) ** np.arange(steps)[:, None]
    actions[:, 1], actions[:, 2] = space.high[1], space.low[2]
    actions[:, 3] *= 1e6
    return actions


def test_everything_stays_finite_and_inside_the_observation_space(case):
    """Also for bodies that lie on the ground; to the registered horizon, and shorter for the same body."""
    envs = case.make_vec(5, action_scale=10.0)
    envs.unwrapped.family = replace(envs.unwrapped.family, terminated=never_terminated)
    horizon = 20 if case.env_id == "metarl/SparsePoint-v0" else 100 if "Point" in case.env_id else 200
    actions = extreme_actions(envs, horizon if case in IDS else 20)
    results = play(envs, actions, seed=1, options={"tasks": case.tasks(5)})
    assert all(np.isfinite(values).all() for values in results.values())
    assert not results["diverged"].any()
    assert all(observation in envs.observation_space for observation in results["observation"])
    assert results["observation"].dtype == np.float64
    assert (results["truncated"] == (np.arange(len(actions)) == horizon - 1)[:, None]).all()


def test_info_has_the_same_fields_at_every_step(case):
    """Arrays of one kind in a batch, and plain numbers of the same names in a single environment."""
    envs, env = case.make_vec(3, max_episode_steps=4), case.make(max_episode_steps=4)
    actions = random_actions(envs, 6)
    _, start = envs.reset(seed=0)
    assert start.keys() == {"task", "_task"}
    assert env.reset(seed=0)[1].keys() == {"task"}
    kinds = [{name: (v.shape, v.dtype) for name, v in numbers(envs.step(a)[-1]).items()} for a in actions]
    assert all(kind == kinds[0] for kind in kinds)
    assert all(shape == (3,) for shape, _ in kinds[0].values())
    assert kinds[0]["diverged"] == ((3,), bool)
    while True:
        *_, terminated, truncated, info = env.step(actions[0, 0])
        assert {name: np.asarray(value).dtype for name, value in numbers(info).items()} == {
            name: dtype for name, (_, dtype) in kinds[0].items()
        }
        assert all(isinstance(value, float | bool) for value in numbers(info).values())
        if terminated or truncated:
            break


@pytest.mark.parametrize("autoreset_mode", ["Disabled", "SameStep"])
def test_returned_arrays_are_the_callers(case, autoreset_mode):
    """Overwriting them changes nothing later, and nothing later changes them."""
    actions = random_actions(case.make_vec(), 9)
    kept, overwritten = (case.make_vec(max_episode_steps=4, autoreset_mode=autoreset_mode) for _ in range(2))
    expected = [kept.reset(seed=0), *map(kept.step, actions)]
    snapshot = copy.deepcopy(expected)
    given = actions.copy()
    for t, (reference, when_told) in enumerate(zip(expected, snapshot, strict=True)):
        result = overwritten.reset(seed=0) if t == 0 else overwritten.step(given[t - 1])
        assert data_equivalence(result, reference, exact=True)
        assert data_equivalence(reference, when_told, exact=True)
        fill(result, 77)
        fill(given[:t], 77)
