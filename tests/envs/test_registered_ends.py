"""Episodes end exactly at the bounds of the originals, written out here, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from metarl_envs import State, stack_tasks

from tests.support.trajectories import CASES, random_actions

INF = np.inf
# (array, index, low, high, alive at the bound itself) of what must hold for the episode to go on.
ANT = [("qpos", 2, 0.2, 1.0, True)]
ANT_OF_PROMP = [("qpos", 2, 0.0, 1.0, True)]
HUMANOID = [("qpos", 2, 1.0, 2.0, True)]
WALKER = [("qpos", 1, 0.8, 2.0, False), ("qpos", 2, -1.0, 1.0, False)]
HOPPER = [
    ("qpos", 1, 0.7, INF, False),
    ("qpos", 2, -0.2, 0.2, False),
    *(("qpos", i, -100.0, 100.0, False) for i in (3, 4, 5)),
    *(("qvel", i, -100.0, 100.0, False) for i in range(6)),
]
BOUNDS = {
    **{
        f"Ant{kind}[{preset}]": ANT
        for kind in ("Vel", "Dir", "Dir2D")
        for preset in ("default", "maml", "pearl")
    },
    **{f"Ant{kind}[promp]": ANT_OF_PROMP for kind in ("Dir", "Dir2D")},
    "AntGoal[maml]": ANT,
    **{f"HumanoidDir2D[{preset}]": HUMANOID for preset in ("default", "promp", "pearl")},
    **{f"Walker2D{kind}[{preset}]": WALKER for kind in ("Dir", "Vel") for preset in ("default", "promp")},
    **{f"Walker2DRandParams[{preset}]": WALKER for preset in ("default", "pearl")},
    **{f"HopperRandParams[{preset}]": HOPPER for preset in ("default", "pearl")},
}


def bounds(case):
    return BOUNDS.get(str(case).replace("-v0", ""), [])


ENDING = [case for case in CASES if bounds(case)]


def alive(qpos, qvel, limits):
    """Whether every limit holds; [env]."""
    goes_on = np.ones(len(qpos), bool)
    for array, index, low, high, at_bound in limits:
        value = (qpos if array == "qpos" else qvel)[:, index]
        goes_on &= (low <= value) & (value <= high) if at_bound else (low < value) & (value < high)
    return goes_on


def test_every_bound_belongs_to_a_case():
    assert BOUNDS.keys() >= {str(case).replace("-v0", "") for case in ENDING}
    assert len(ENDING) == 9 + 1 + 3 + 4 + 2 + 2


def standing(family, n):
    """n states alive, without noise."""
    start = family.initial_state(np.random.default_rng(0))
    return State(np.tile(np.round(start.qpos, 1), (n, 1)), np.zeros((n, len(start.qvel))))


@pytest.mark.parametrize("case", ENDING, ids=str)
def test_the_bound_itself(case):
    family = case.family
    for array, index, low, high, at_bound in bounds(case):
        for bound, out in ((low, -1), (high, 1)):
            if np.isinf(bound):
                continue
            states = standing(family, 4)
            values = [np.nextafter(bound, -out * INF), bound, np.nextafter(bound, out * INF), out * 1e6]
            getattr(states, array)[:, index] = values
            ended = family.terminated(states, stack_tasks(case.tasks(4)))
            assert ended.tolist() == [False, not at_bound, True, True], (array, index, bound)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_else_ends_an_episode(case):
    """States far away in everything that has no bound."""
    family, limits = case.family, bounds(case)
    states = standing(family, 4)
    bounded = {(array, index) for array, index, *_ in limits}
    for array in ("qpos", "qvel"):
        values = getattr(states, array)
        free = [i for i in range(values.shape[1]) if (array, i) not in bounded]
        values[:, free] = np.array([1e6, -1e6, 5.0, -5.0])[:, None]
    assert not family.terminated(states, stack_tasks(case.tasks(4))).any()


@pytest.mark.parametrize("case", ENDING, ids=str)
def test_environments_end_by_the_state_after_the_step(case):
    """They start on both sides of every bound; the first step tells."""
    limits = [limit for limit in bounds(case) if limit[0] == "qpos" and limit[1] < 3]
    envs = case.make_vec(40).unwrapped
    family = envs.family
    rng = np.random.default_rng(0)
    starts = iter(range(10**6))

    def near_a_bound(generator):
        start = standing(family, 1)
        _, index, low, high, _ = limits[next(starts) % len(limits)]
        start.qpos[0, index] = rng.choice([b for b in (low, high) if np.isfinite(b)]) + rng.normal(scale=0.02)
        return State(start.qpos[0], start.qvel[0])

    envs.family = replace(family, initial_state=near_a_bound)
    envs.reset(seed=0)
    _, _, terminated, truncated, _ = envs.step(random_actions(envs, 1)[0])
    states = [envs.current(i)[0] for i in range(40)]
    qpos, qvel = (np.array([getattr(state, name) for state in states]) for name in ("qpos", "qvel"))
    np.testing.assert_array_equal(terminated, ~alive(qpos, qvel, bounds(case)))
    assert 5 < terminated.sum() < 35
    assert not truncated.any()
