"""Ways, speeds and headings, as the families' observations tell them."""

import gymnasium
import numpy as np
import pytest
import torch
from metarl_envs.family import Observed

from metarl.adaptation.figures.motion import Motion, goals_of, motion_of, speeds_figure, ways_figure
from metarl.math.gaussian import DiagonalGaussian
from metarl.rollouts.rollout import Rollout

PLANE = np.array([[[[0.0, 0.0], [0.1, 0.2], [0.3, 0.4]], [[0.0, 0.0], [0.5, 0.5], [9.0, 9.0]]]])


def rollout(observations, final, valid):
    seen = torch.as_tensor(observations)
    flat = torch.zeros(seen.shape[:3])
    ends = torch.zeros(seen.shape[:2], dtype=torch.bool)
    behaviour = DiagonalGaussian(torch.zeros(*seen.shape[:3], 1), torch.zeros(*seen.shape[:3], 1))
    parts = (
        torch.zeros(*seen.shape[:3], 1),
        flat,
        torch.as_tensor(valid),
        ends,
        ends,
        torch.as_tensor(final),
    )
    return Rollout(seen, *parts, behaviour, flat)


def two_episodes():
    """The second ends after two steps, at (0.7, 0.8)."""
    final = np.array([[[0.6, 0.6], [0.7, 0.8]]])
    return rollout(PLANE, final, [[[True, True, True], [True, True, False]]])


def test_a_way_leads_to_the_last_observation_and_no_further():
    place = motion_of(two_episodes(), Observed(place=(0, 1))).place
    np.testing.assert_allclose(place[0, 0], [[0, 0], [0.1, 0.2], [0.3, 0.4], [0.6, 0.6]])
    np.testing.assert_allclose(place[0, 1], [[0, 0], [0.5, 0.5], [0.7, 0.8], [np.nan] * 2])


def test_the_velocity_is_that_of_the_episodes_that_run():
    velocity = motion_of(two_episodes(), Observed(velocity=(1,))).velocity
    np.testing.assert_allclose(velocity[0, :, 0], [(0.2 + 0.5) / 2, (0.4 + 0.8) / 2, 0.6])


def test_ways_are_drawn_with_their_goals():
    motion = motion_of(two_episodes(), Observed(place=(0, 1)))
    figure = ways_figure(motion, motion, {"angle": np.array([0.0])}, "after", "title")
    stars = [line for line in figure.axes[1].get_lines() if line.get_marker() == "*"]
    assert [star.get_xydata().tolist() for star in stars] == [[[1.0, 0.0]]]
    assert ways_figure(motion, motion, {"velocity": np.array([1.0])}, "after", "title") is None
    np.testing.assert_allclose(goals_of({"goal": np.array([[1.0, 2.0]])}), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("tasks", "drawn"),
    [
        ({"velocity": np.array([1.5])}, [0.5, 0.5]),
        ({"direction": np.array([-1.0])}, [0.5, 0.5]),
        ({"heading": np.array([1.0])}, [np.pi / 4, np.pi / 4]),
    ],
)
def test_speeds_and_headings_are_drawn_over_seconds(tasks, drawn):
    motion = Motion(None, np.full((1, 2, 2), 0.5))
    figure = speeds_figure(motion, motion, tasks, 0.05, "after", "title")
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [0.05, 0.1])
    np.testing.assert_allclose(line.get_ydata(), drawn)
    assert speeds_figure(motion, motion, {"goal": np.zeros((1, 2))}, 0.05, "after", "title") is None


@pytest.mark.parametrize(
    "name",
    ["HalfCheetahVel", "AntVel", "AntDir2D", "AntGoal", "Walker2DVel", "SwimmerVel", "HumanoidDir2D"],
)
def test_families_tell_where_the_body_is_and_how_fast(name):
    """The observed velocity is the state's; so is the place."""
    envs = gymnasium.make_vec(f"metarl/{name}-v0", num_envs=1, vectorization_mode="vector_entry_point")
    observation, _ = envs.reset(seed=1)
    for action in np.random.default_rng(0).uniform(-1, 1, (3, *envs.action_space.shape)).astype(np.float32):
        observation, *_ = envs.step(action)
    own = envs.unwrapped
    observed, state = own.family.observed, own.state
    np.testing.assert_allclose(
        observation[0, list(observed.velocity)], state.qvel[0, : len(observed.velocity)], atol=1e-9
    )
    np.testing.assert_allclose(observation[0, list(observed.place)], state.qpos[0, : len(observed.place)])
    envs.close()


@pytest.mark.parametrize("name", ["PointNavigation", "SparsePoint"])
def test_points_tell_where_they_are(name):
    envs = gymnasium.make_vec(f"metarl/{name}-v0", num_envs=1, vectorization_mode="vector_entry_point")
    assert envs.unwrapped.family.observed == Observed(place=(0, 1))
    envs.close()
