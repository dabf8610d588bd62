"""Seeds that are one result, and what lists are called."""

from dataclasses import replace

import numpy as np
import pytest
from metarl_envs.foreign.adapters import SampledTasks
from metarl_envs.task_parameters import Choice, Uniform
from metarl_envs.tasks import TaskSpace

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.measurement import SeedCurves
from metarl.adaptation.statistics import bootstrap, changed_tasks
from metarl.experiment.environments import held_out_phrase, list_name, strata_of
from metarl.runs.evaluation_report import changes_text, gain_text
from tests.support.tiny_envs import Drift

GOAL = TaskSpace({"goal": Uniform((-1.0, -1.0), (1.0, 1.0), default=(0.0, 0.0))})
DIRECTION = TaskSpace({"direction": Choice((-1.0, 1.0), default=1.0)})


def curves(seeds, tasks, episodes, rng):
    found = []
    for _ in range(seeds):
        of_episodes = rng.normal(size=(3, tasks, episodes))
        found.append(AdaptationCurve({"x": np.arange(float(tasks))}, of_episodes.mean(-1), of_episodes))
    return tuple(found)


def test_intervals_are_over_seeds_and_tasks():
    one = SeedCurves(curves(3, 8, 5, np.random.default_rng(0)))
    returns = np.stack([curve.returns for curve in one.curves])
    for step, interval in enumerate(one.intervals):
        expected = bootstrap(returns[:, step], np.random.default_rng(0))
        assert interval == expected
    assert one.gain == bootstrap(returns[:, 2] - returns[:, 0], np.random.default_rng(0))


def test_where_a_list_holds_all_tasks_their_differences_widen_nothing():
    numbers = np.tile([0, 1], 10)
    returns = np.stack([100.0 * numbers] * 2) + np.random.default_rng(0).normal(size=(2, 20))
    one = AdaptationCurve({"x": numbers.astype(float)}, returns)
    drawn, whole = (SeedCurves((one,), strata).intervals[0] for strata in (None, numbers))
    assert whole == bootstrap(returns[:1], np.random.default_rng(0), numbers)
    assert whole.high - whole.low < 2 < 20 < drawn.high - drawn.low


def test_one_seed_on_one_task_has_no_interval():
    (interval, *_) = SeedCurves(curves(1, 1, 5, np.random.default_rng(0))).intervals
    assert np.isnan([interval.low, interval.high]).all()
    assert np.isfinite(interval.mean)


def test_all_tasks_once_each_have_no_interval_of_one_seed():
    """Nothing can be drawn but the list itself, and an interval of no width would claim to be sure."""
    one, two = (curves(seeds, 2, 5, np.random.default_rng(0)) for seeds in (1, 2))
    alone = SeedCurves(one, np.array([0, 1]))
    assert np.isnan([alone.gain.low, alone.gain.high]).all()
    gain = SeedCurves(two, np.array([0, 1])).gain
    assert gain.low < gain.high


def test_all_seeds_tasks_are_judged_as_one_family():
    found = curves(2, 4, 12, np.random.default_rng(1))
    found[1].episode_returns[2, 3] -= 9.0
    changes = SeedCurves(found).changes
    expected = np.zeros((2, 4), dtype=bool)
    expected[1, 3] = True
    np.testing.assert_array_equal(changes.worse, expected)
    before, after = (np.concatenate([one.episode_returns[k] for one in found]) for k in (0, 2))
    np.testing.assert_array_equal(changes.worse.ravel(), changed_tasks(before, after).worse)
    unknown = (found[0], AdaptationCurve(found[1].tasks, found[1].returns))
    assert SeedCurves(unknown).changes is None


@pytest.mark.parametrize(
    ("trial_episodes", "gained", "noun"),
    [(None, "Gain of all steps: ", "episodes"), (2, "Gain by 4 episodes: ", "trials")],
)
def test_the_report_tells_steps_from_episodes_of_a_trial(trial_episodes, gained, noun):
    (one,) = curves(1, 3, 4, np.random.default_rng(0))
    found = SeedCurves((replace(one, trial_episodes=trial_episodes),))
    assert gain_text(found).startswith(gained)
    assert f"(Sign test over {noun}, " in changes_text(found)


@pytest.mark.parametrize(
    ("trial_episodes", "text"),
    [
        (None, "4 episodes are too few to make it of any of 3 tasks: --episodes 6."),
        (2, "4 trials are too few to make it of any of 3 tasks: that takes 6."),
    ],
)
def test_the_report_says_where_episodes_or_trials_are_too_few(trial_episodes, text):
    (one,) = curves(1, 3, 4, np.random.default_rng(0))
    assert text in changes_text(SeedCurves((replace(one, trial_episodes=trial_episodes),)))


@pytest.mark.parametrize(
    ("space", "count", "phrase", "whole"),
    [
        (GOAL, 1, "1 held-out task", False),
        (GOAL, 40, "40 held-out tasks", False),
        (DIRECTION, 40, "its 2 tasks, 20 times each", True),
        (DIRECTION, 5, "its 2 tasks, 2 or 3 times each", True),
        (DIRECTION, 2, "its 2 tasks", True),
        (DIRECTION, 1, "1 of its 2 tasks", False),
    ],
)
def test_tasks_are_called_held_out_where_they_are(space, count, phrase, whole):
    tasks = space.sample_held_out(count, np.random.default_rng(0))
    assert held_out_phrase(space, tasks) == phrase
    assert (strata_of(space, tasks) is not None) == whole
    assert list_name(space, tasks) == ("held-out" if "held-out" in phrase else "existing")


class WithTestTasks(Drift):
    sample_held_out_tasks = Drift.sample_tasks


@pytest.mark.parametrize(
    ("env", "different", "phrase"),
    [
        (Drift, 4, "4 drawn tasks"),
        (Drift, 2, "4 drawn tasks (2 different)"),
        (WithTestTasks, 2, "4 held-out tasks (2 different)"),
    ],
)
def test_tasks_of_others_are_held_out_where_the_environment_says_so_whatever_is_drawn(env, different, phrase):
    tasks = {"velocity": np.arange(4.0) % different}
    assert held_out_phrase(SampledTasks(env()), tasks) == phrase
