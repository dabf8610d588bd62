"""Tasks that come again: a list that is drawn once, of which every iteration takes different ones."""

import numpy as np
import pytest

import metarl
from metarl.errors import ConfigError
from metarl.experiment.build import build_experiment
from metarl.experiment.training_tasks import draw_training_tasks
from metarl.rollouts.rollout import SLOT


class Drawing:
    """Tasks of one number that tells where it was drawn."""

    def sample(self, n, rng):
        return {"goal": rng.random((n, 2))}


def test_an_iteration_takes_different_tasks_of_one_list():
    drawn = [draw_training_tasks(Drawing(), 4, 3, iteration, of=6) for iteration in range(30)]
    by_slot = {}
    for tasks, slots in drawn:
        assert len(set(slots.tolist())) == 4
        for slot, goal in zip(slots.tolist(), tasks["goal"].tolist(), strict=True):
            assert by_slot.setdefault(slot, goal) == goal
    assert sorted(by_slot) == list(range(6))
    assert len({tuple(goal) for goal in by_slot.values()}) == 6
    assert len({tuple(slots.tolist()) for _, slots in drawn}) > 20


def test_the_list_follows_from_the_seed_alone():
    same, other = (draw_training_tasks(Drawing(), 6, seed, 5, of=6) for seed in (3, 4))
    again = draw_training_tasks(Drawing(), 6, 3, 9, of=6)
    in_order = [tasks["goal"][np.argsort(slots)] for tasks, slots in (same, again, other)]
    assert np.array_equal(in_order[0], in_order[1])
    assert not np.array_equal(in_order[0], in_order[2])


def test_without_a_list_tasks_are_fresh():
    first, second = (draw_training_tasks(Drawing(), 4, 3, iteration) for iteration in (0, 1))
    assert first.slots is None
    assert not np.isin(first.tasks["goal"], second.tasks["goal"]).any()


def test_any_learner_trains_on_a_list(train_small, small_config, tmp_path):
    met = []

    class Kept(metarl.Observer):
        def on_iteration(self, iteration):
            met.append((iteration.batch.query.extras[SLOT].tolist(), iteration.tasks["goal"]))

    listed = ("--sampling.training_tasks", "5", "--training.iterations", "3")
    train_small(*listed, observers=[Kept()])
    slots = np.concatenate([one for one, _ in met])
    goals = np.concatenate([goals for _, goals in met])
    assert len(np.unique(goals, axis=0)) == len(np.unique(slots)) <= 5
    told = build_experiment(small_config(*listed)).training_tasks(9)["goal"]
    assert np.array_equal(told, goals)


def test_a_list_that_is_too_short_is_told(small_config):
    message = r"sampling.training_tasks: expected 0 or at least 3, the sampling.tasks, got 2"
    with pytest.raises(ConfigError, match=message):
        small_config("--sampling.training_tasks", "2")
