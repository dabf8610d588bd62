"""The better behaviour pays more, in every family and preset: the commanded movement, made by hand."""

from itertools import pairwise

import numpy as np
import pytest
from metarl_envs import State

from tests.support.trajectories import CASES

N = 12
BODIES = {"subtree_com": 3, "cfrc_ext": 6, "cinert": 10, "cvel": 6}


def with_key(*keys):
    cases = [case for case in CASES if set(keys) & set(case.family.task_space.parameters)]
    return pytest.mark.parametrize("case", cases, ids=str)


def test_every_family_is_one_of_these():
    keys = {"velocity", "direction", "heading", "goal", "angle", "body_mass"}
    assert all(keys & set(case.family.task_space.parameters) for case in CASES)


def tasks_of(family):
    return family.task_space.sample(N, np.random.default_rng(0))


def state_at(family, place):
    """The body at rest at the places [N, 2]; its centre of mass and the body are one, no contact."""
    rest = family.initial_state(np.random.default_rng(0))
    qpos = np.tile(rest.qpos, (N, 1))
    planar = len(rest.qpos) in (6, 9)  # x and the height: a place on the plane is its x
    qpos[:, : 1 if planar else 2] = place[:, : 1 if planar else 2]
    fields = {name: np.zeros((N, 14, size)) for name, size in BODIES.items()}
    fields["subtree_com"][:, 0, :2] = place
    return State(qpos, np.zeros((N, len(rest.qvel))), fields)


def rewards(family, displacement, control=None):
    """Of a step from the origin; [N]."""
    still = np.zeros((N, len(family.control_low)))
    before, after = state_at(family, np.zeros((N, 2))), state_at(family, displacement)
    terms = family.reward_terms(before, after, still if control is None else control, tasks_of(family))
    return np.sum(list(terms.values()), axis=0)


def moving(family, x, y=0.0):
    """The rewards of velocities, m/s."""
    velocity = np.stack(np.broadcast_arrays(x, y, np.zeros(N))[:2], axis=-1)
    return rewards(family, velocity * family.dt)


def assert_falls(*ladder):
    """Each reward is clearly above the next, for every task."""
    for better, worse in pairwise(ladder):
        assert (better - worse > 1e-3).all()


@with_key("velocity")
def test_the_nearer_velocity(case):
    family = case.family
    commanded = tasks_of(family)["velocity"]
    for sign in (1, -1):
        assert_falls(*(moving(family, commanded + sign * off) for off in (0.0, 0.01, 0.3, 2.0)))
    np.testing.assert_allclose(moving(family, commanded + 0.5), moving(family, commanded - 0.5), rtol=1e-9)


@with_key("direction")
def test_the_commanded_direction(case):
    family = case.family
    direction = tasks_of(family)["direction"]
    assert set(direction) == {-1.0, 1.0}
    assert_falls(*(moving(family, direction * speed) for speed in (2.0, 1.0, 0.0, -1.0)))


@with_key("heading")
def test_along_the_heading(case):
    family = case.family
    heading = tasks_of(family)["heading"]

    def turned(angle, speed=1.0):
        return moving(family, speed * np.cos(heading + angle), speed * np.sin(heading + angle))

    assert_falls(turned(0, speed=2.0), turned(0), turned(0.7), turned(np.pi / 2), turned(2.5), turned(np.pi))
    np.testing.assert_allclose(turned(0.7), turned(-0.7), rtol=1e-9)
    np.testing.assert_allclose(turned(np.pi / 2), turned(0, speed=0.0), atol=1e-9)


@with_key("goal")
def test_nearer_the_goal(case):
    family = case.family
    goal = tasks_of(family)["goal"]
    assert_falls(*(rewards(family, share * goal) for share in (1.0, 0.9, 0.5, 0.0, -0.5)))
    assert_falls(rewards(family, goal), rewards(family, goal[:, ::-1] + 0.01))


@with_key("angle")
def test_near_the_goal_and_silent_elsewhere(case):
    family = case.family
    angle = tasks_of(family)["angle"]
    goal = np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    assert_falls(*(rewards(family, share * goal) for share in (1.0, 0.9, 0.81, 0.79)))
    assert (rewards(family, 0.79 * goal) == 0).all()
    assert (rewards(family, np.zeros((N, 2))) == 0).all()
    shown = [family.info(state_at(family, share * goal), tasks_of(family)) for share in (1, 0.5, 0)]
    assert_falls(*(info["dense_reward"] for info in shown))


@with_key("body_mass")
def test_forward_whatever_the_body(case):
    family = case.family
    assert_falls(*(moving(family, speed) for speed in (2.0, 1.0, 0.0, -1.0)))
    assert len(np.unique(moving(family, 1.0))) == 1


@pytest.mark.parametrize("case", [case for case in CASES if "Point" not in case.env_id], ids=str)
def test_less_control_for_the_same_movement(case):
    family = case.family
    full = np.tile(family.control_high, (N, 1))
    place = np.ones((N, 2))
    assert (rewards(family, place, full / 2) > rewards(family, place, full)).all()
    np.testing.assert_allclose(rewards(family, place, -full), rewards(family, place, full), rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_environment_is_rewarded_by_its_own_task(case):
    """In a batch as alone."""
    family = case.family
    place = np.random.default_rng(1).normal(size=(N, 2))
    states = [state_at(family, at) for at in (np.zeros((N, 2)), place)]
    control = np.zeros((N, len(family.control_low)))
    together = family.reward_terms(*states, control, tasks_of(family))
    for i in range(N):
        own = slice(i, i + 1)
        alone = [
            State(s.qpos[own], s.qvel[own], {name: v[own] for name, v in s.fields.items()}) for s in states
        ]
        task = {name: values[own] for name, values in tasks_of(family).items()}
        for name, term in family.reward_terms(*alone, control[own], task).items():
            np.testing.assert_array_equal(term[0], together[name][i], err_msg=name)
