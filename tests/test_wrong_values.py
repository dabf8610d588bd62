"""Whatever a public function of metarl is given: it takes it, or its own line says what was expected."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest

import metarl
from metarl.meta_learners.maml import maml
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.registry import POLICIES
from tests.support.wrong_arguments import check_told

ZOO = "zoo/point_navigation"
TINY = {"tasks": 1, "episodes": 1, "steps": 0}
FEW = {"episodes": 1, "steps": 1, "evaluation_episodes": 0}
NOTHING = {"training.iterations": -1}
POLICY = metarl.load(ZOO)
ENV = gymnasium.make("metarl/PointNavigation-v0", max_episode_steps=3)
ADAPTED = POLICY.adapt(ENV, **FEW)


def load(**changed):
    return metarl.load(ZOO, **changed)


def evaluate(**changed):
    return metarl.evaluate(POLICY, **{**TINY, **changed})


def adapt(**changed):
    return POLICY.adapt(ENV, **{**FEW, **changed})


def untrained(function, config="quickstart", **changed):
    return getattr(metarl, function)(config, **{"quiet": True, "overrides": NOTHING, **changed})


SEEDS = "zero large"
NUMBERS = "true half minus zero single huge"
CALLS = {
    "load": (metarl.load, ""),
    "load, device": (lambda one: load(device=one), ""),
    "load, iteration": (lambda one: load(iteration=one), "none"),
    "load, later_step_scale": (
        lambda one: load(later_step_scale=one),
        "none half zero large huge",
    ),
    "load, environment_options": (
        lambda one: load(environment_options=one).experiment,
        "none mapping",
    ),
    "load, trust": (lambda one: load(trust=one), "true"),
    "read_config": (metarl.read_config, ""),
    "read_config, overrides": (lambda one: metarl.read_config("quickstart", one), "nothing mapping"),
    "read_config, words": (lambda one: metarl.read_config("quickstart", [one]), ""),
    "read_config, value": (lambda one: metarl.read_config("quickstart", {"sampling.tasks": one}), ""),
    "read_config, section": (lambda one: metarl.read_config({"environment": one}), ""),
    "train": (lambda one: metarl.train(one, quiet=True), ""),
    "train, overrides": (lambda one: untrained("train", {}, overrides=one), ""),
    "train, observers": (lambda one: untrained("train", observers=one), ""),
    "train, observer": (lambda one: untrained("train", observers=[one]), ""),
    "train_from_scratch": (lambda one: untrained("train_from_scratch", one), ""),
    "train_supervised": (lambda one: untrained("train_supervised", one), ""),
    "evaluate": (lambda one: metarl.evaluate(one, **TINY), ""),
    "evaluate, tasks": (lambda one: evaluate(tasks=one), ""),
    "evaluate, task": (lambda one: evaluate(tasks=[one]), ""),
    "evaluate, values": (lambda one: evaluate(tasks={"goal": one}), "square"),
    "evaluate, value": (lambda one: evaluate(tasks=[{"goal": one}]), ""),
    "evaluate, episodes": (lambda one: evaluate(episodes=one), "none"),
    "evaluate, steps": (lambda one: evaluate(steps=one), "zero"),
    "evaluate, seed": (lambda one: evaluate(seed=one), SEEDS),
    "evaluate, deterministic": (lambda one: evaluate(deterministic=one), "true"),
    "evaluate, keep_rollouts": (lambda one: evaluate(keep_rollouts=one), "true"),
    "adapt": (lambda one: POLICY.adapt(one, **FEW), ""),
    "adapt, task": (lambda one: adapt(task=one), "none"),
    "adapt, value": (lambda one: adapt(task={"goal": one}), ""),
    "adapt, episodes": (lambda one: adapt(episodes=one), "none"),
    "adapt, steps": (lambda one: adapt(steps=one), ""),
    "adapt, seed": (lambda one: adapt(seed=one), SEEDS),
    "adapt, evaluation_episodes": (lambda one: adapt(evaluation_episodes=one), "none zero"),
    "predict": (POLICY.predict, "pair square"),
    "predict, numbers": (lambda one: POLICY.predict([one, one]), "true half minus zero single pair"),
    "predict, adapted": (ADAPTED.predict, "pair square"),
    "predict, deterministic": (lambda one: POLICY.predict([0, 0], deterministic=one), "true"),
    "save": (POLICY.save, "empty text"),
    "save, adapted": (ADAPTED.save, "empty text"),
    "check_fits": (POLICY.check_fits, ""),
    "register_policy": (lambda one: metarl.register_policy(one, GaussianMLP), "text"),
    "register_policy, class": (lambda one: metarl.register_policy("of_a_test", one), ""),
    "register_meta_learner": (lambda one: metarl.register_meta_learner(one, maml), "text"),
    "register_meta_learner, build": (lambda one: metarl.register_meta_learner("of_a_test", one), ""),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_taken_or_told_in_one_line_of_its_own(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for registered in (POLICIES, META_LEARNERS):
        monkeypatch.setitem(registered, "text", None)
        del registered["text"]
    check_told(*CALLS[name])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))])
@pytest.mark.parametrize("policy", [POLICY, ADAPTED], ids=["meta", "adapted"])
def test_policies_are_copied_as_they_are(copied, policy):
    if policy is POLICY:
        assert policy.experiment
    other = copied(policy)
    drawn = []
    for one in (policy, other):
        one.set_random_seed(3)
        drawn.append([one.predict(np.zeros(2))[0] for _ in range(3)])
    np.testing.assert_array_equal(*drawn)
    if policy is POLICY:
        assert metarl.evaluate(other, **TINY).curve.mean == metarl.evaluate(policy, **TINY).curve.mean
