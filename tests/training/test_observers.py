"""Observers see everything, stop training when they like, and cost no finished iteration."""

import csv
import weakref

import numpy as np
import pytest
import torch
from metarl_envs.tasks import TaskSpace

from metarl.runs.checkpoint import load_checkpoint
from metarl.training.observers import Observer


class Diary(Observer):
    """Keeps what it is called with, in its order; does as asked in an iteration."""

    def __init__(self, at=None, act=lambda: None):
        self.start, self.iterations, self.evaluations, self.calls = None, [], {}, []
        self.at, self.act = at, act

    def on_start(self, start):
        self.start = start
        self.calls.append("start")

    def on_iteration(self, iteration):
        self.iterations.append(iteration)
        self.calls.append(iteration.number)
        return self.act() if iteration.number == self.at else None

    def on_evaluation(self, evaluated):
        iterations = evaluated.checkpoint.iteration
        self.evaluations[iterations] = evaluated.curve
        self.calls.append(f"evaluation after {iterations}")

    def on_end(self):
        self.calls.append("end")


def rows(folder):
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_observer_sees_everything_in_its_order(train_small, tmp_path):
    diary = Diary()
    final = train_small("--training.iterations", "3", "--training.evaluate_every", "2", observers=[diary])
    assert diary.calls == [
        "start",
        "evaluation after 0",
        0,
        1,
        "evaluation after 2",
        2,
        "evaluation after 3",
        "end",
    ]
    assert diary.start.iteration == 0
    assert same(diary.iterations[-1].after.state.parameters, final.state.parameters)
    for one, following in zip(diary.iterations, diary.iterations[1:], strict=False):
        assert one.after is following.before
    for one, row in zip(diary.iterations, rows(tmp_path / "run"), strict=True):
        assert one.tasks["goal"].shape == (3, 2)
        assert one.returns.shape == (2, 3)
        before, after = one.returns.mean(1).tolist()
        assert float(row["rollout/return_before"]) == pytest.approx(before, rel=1e-6)
        assert float(row["rollout/return_after"]) == pytest.approx(after, rel=1e-6)
        assert {name: float(row[name]) for name in one.metrics} == dict(one.metrics)
        assert int(float(row["rollout/environment_steps"])) == one.environment_steps
        valid = [*(batch.valid for batch in one.batch.support), one.batch.query.valid]
        taken = one.environment_steps - one.before.environment_steps
        assert sum(int(mask.sum()) for mask in valid) == taken
    evaluated = [float(rows(tmp_path / "run")[1][f"evaluation/return_after_{k}_steps"]) for k in (0, 1)]
    np.testing.assert_allclose(evaluated, diary.evaluations[2].mean)


def test_observing_changes_nothing(train_small, tmp_path):
    alone = train_small("--run_dir", str(tmp_path / "alone"))
    observed = train_small(observers=[Diary(), Diary()])
    assert same(alone.state.parameters, observed.state.parameters)


@pytest.mark.parametrize("every", ["1", "10"])
def test_an_observer_stops_training_and_the_iteration_is_kept(train_small, tmp_path, every):
    diary, stopper = Diary(), Diary(at=1, act=lambda: False)
    settings = ("--training.checkpoint_every", every)
    final = train_small(*settings, observers=[stopper, diary])
    assert final.iteration == load_checkpoint(tmp_path / "run").iteration == 2
    assert len(rows(tmp_path / "run")) == 2
    assert diary.calls == ["start", "evaluation after 0", 0, 1, "evaluation after 2", "end"]
    assert (tmp_path / "run/held_out_task.json").is_file()
    whole = train_small("--run_dir", str(tmp_path / "whole"))
    resumed = train_small(*settings, resume=True, observers=[diary])
    assert diary.start.iteration == 2
    assert same(resumed.state.parameters, whole.state.parameters)


def fail():
    raise RuntimeError("no space left for pictures")


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("act", "error"), [(fail, RuntimeError), (interrupt, KeyboardInterrupt)])
def test_an_observer_that_fails_costs_no_iteration(train_small, tmp_path, act, error):
    diary, failing = Diary(), Diary(at=2, act=act)
    with pytest.raises(error):
        train_small("--training.checkpoint_every", "10", observers=[diary, failing])
    assert diary.calls == ["start", "evaluation after 0", 0, 1, 2, "end"]
    assert failing.calls[-1] == "end"
    assert load_checkpoint(tmp_path / "run").iteration == 3
    assert len(rows(tmp_path / "run")) == 3
    whole = train_small("--run_dir", str(tmp_path / "whole"))
    resumed = train_small("--training.checkpoint_every", "10", resume=True)
    assert same(resumed.state.parameters, whole.state.parameters)


def test_a_fault_in_an_evaluation_is_shown_to_observers_as_an_iteration_without_one(train_small):
    diary = Diary()
    loud = ("--meta_learner.later_step_scale", "1e38", "--training.evaluation_steps", "2")
    with pytest.raises(Exception, match="evaluation after 2 iterations"):
        train_small(*loud, "--training.evaluate_every", "2", observers=[diary])
    assert diary.calls == ["start", 0, 1, "end"]


def test_who_started_is_told_of_the_end(train_small):
    class Late(Diary):
        def on_start(self, start):
            fail()

    first, late = Diary(), Late()
    with pytest.raises(RuntimeError, match="no space left"):
        train_small(observers=[first, late])
    assert (first.calls, late.calls) == (["start", "end"], [])
    assert train_small(resume=True).iteration == 4


def test_an_iterations_episodes_are_gone_when_the_next_ones_are_sampled(train_small, monkeypatch):
    kept, alive, sample = [], [], TaskSpace.sample

    class Watch(Observer):
        def on_iteration(self, iteration):
            kept.append(weakref.ref(iteration.batch.query.observations))

    def spy(self, n, rng):
        alive.append(sum(one() is not None for one in kept))
        return sample(self, n, rng)

    monkeypatch.setattr(TaskSpace, "sample", spy)
    train_small(observers=[Watch()])
    assert len(kept) == 4
    assert not any(alive)


def test_only_the_iterations_method_must_be_written():
    class Silent(Observer):
        def on_iteration(self, iteration):
            return None

    class Nothing(Observer):
        pass

    silent = Silent()
    silent.on_start(None)
    silent.on_evaluation(None)
    silent.on_fault(None, None)
    silent.on_end()
    with pytest.raises(TypeError, match="on_iteration"):
        Nothing()


def test_an_evaluation_is_shown_with_its_episodes_and_adapted_states_once(train_small):
    seen = []

    class Figures(Observer):
        def on_iteration(self, iteration):
            return None

        def on_evaluation(self, evaluated):
            episodes = [tuple(rollout.returns.shape) for rollout in evaluated.evaluation.rollouts]
            adapted = {len(value) for value in evaluated.evaluation.adapted.parameters.values()}
            seen.append((evaluated.checkpoint.iteration, episodes, adapted, evaluated.final))

    train_small("--training.iterations", "2", "--training.evaluate_every", "2", observers=[Figures()])
    whole = [(2, 2), (2, 2)]  # of two tasks, two episodes each, before and after the inner step
    assert seen == [(0, whole, {2}, False), (2, whole, {2}, False), (2, [], {2}, True)]
