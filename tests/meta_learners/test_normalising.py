"""Observations normalised by running moments, which are parts of the policy that no gradient step moves."""

import gymnasium
import numpy as np
import pytest
import torch

import metarl
from metarl.errors import ConfigError
from metarl.experiment.build import build_experiment
from metarl.math.moments import Moments, joined_moments, moments_of, normalised
from metarl.meta_learners.learner import LearnerState
from metarl.policies.normalised import COUNT, MEAN, VARIANCE
from metarl.rollouts.rollout import MetaBatch
from tests.conftest import SMALL
from tests.support.tiny import BY_GRADIENT

ON = ("--policy.normalise_observations", "true")
TASK = {"goal": [0.2, 0.1]}


class Kept(metarl.Observer):
    def __init__(self):
        self.iterations = []

    def on_iteration(self, iteration):
        self.iterations.append(iteration)


def sampled(batch: MetaBatch):
    """All observations of an iteration, [n, observation]."""
    return torch.cat([one.observations[one.valid] for one in (*batch.support, batch.query)]).double()


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_moments_of_parts_are_those_of_all_at_once(shift):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 3, 50, 2, generator=generator, dtype=torch.float64) * 5 + shift
    valid = torch.rand(4, 3, 50, generator=generator) > 0.3
    valid[1] = False
    values[~valid] = torch.nan
    parts = [moments_of(*one) for one in zip(values, valid, strict=True)]
    found = joined_moments(Moments(*map(torch.stack, zip(*parts, strict=True))))
    together = values[valid]
    assert found.number == len(together)
    torch.testing.assert_close(found.mean, together.mean(0))
    torch.testing.assert_close(found.variance, together.var(0, correction=0))


def test_normalised_numbers_are_cut():
    values = torch.tensor([[3.0, 1e3], [-1.0, -1e3]])
    found = normalised(values, torch.tensor([1.0, 0.0]), torch.tensor([4.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 10.0], [-1.0, -10.0]]))


def test_moments_are_of_all_that_training_sampled(train_small):
    kept = Kept()
    end = train_small(*ON, "--training.iterations", "3", observers=[kept]).state.parameters
    everything = torch.cat([sampled(one.batch) for one in kept.iterations])
    assert end[COUNT] == len(everything)
    torch.testing.assert_close(end[MEAN].double(), everything.mean(0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(end[VARIANCE].double(), everything.var(0, correction=0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_an_iteration_acts_and_learns_by_the_moments_before_it(small_config_file, train_small, name):
    kept = Kept()
    learner = ("--meta_learner.name", name, "--training.iterations", "2")
    train_small(*ON, *learner, observers=[kept])
    first, second = kept.iterations
    assert second.before.state.parameters[COUNT] == len(sampled(first.batch))
    policy = metarl.load(small_config_file.parent / "run").policy
    acted = second.batch.support[0] if second.batch.support else second.batch.query
    parameters = second.before.state.parameters
    again = policy(parameters, acted.observations)
    torch.testing.assert_close(again.mean[acted.valid], acted.behaviour.mean[acted.valid])
    plain = policy.policy(parameters, acted.observations)
    assert (plain.mean - acted.behaviour.mean)[acted.valid].abs().max() > 1e-3
    assert not torch.equal(second.after.state.parameters["mean.bias"], parameters["mean.bias"])


@pytest.mark.parametrize("name", ["maml", "cavia", "promp"])
def test_the_learner_sees_normalised_observations(train_small, small_config, name):
    kept = Kept()
    learner = ("--meta_learner.name", name)
    train_small(*ON, *learner, "--training.iterations", "2", observers=[kept])
    before, batch = kept.iterations[1].before.state, kept.iterations[1].batch

    def by_hand(episodes):
        scale = (before.parameters[VARIANCE] + 1e-8).sqrt()
        seen = ((episodes.observations - before.parameters[MEAN]) / scale).clamp(-10, 10)
        return episodes._replace(observations=seen)

    own = {key: value for key, value in before.parameters.items() if key not in (MEAN, VARIANCE, COUNT)}
    plain = build_experiment(small_config(*learner)).learner
    seen = MetaBatch(tuple(map(by_hand, batch.support)), by_hand(batch.query))
    expected = plain.update(LearnerState(own, before.optimiser), seen).state.parameters
    found = kept.iterations[1].after.state.parameters
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert not all(torch.equal(own[key], value) for key, value in expected.items())


def test_a_resumed_run_is_the_same_to_the_last_bit(train_small, tmp_path):
    whole = train_small(*ON, "--training.iterations", "3").state.parameters
    halves = ("--run_dir", str(tmp_path / "halves"))
    train_small(*ON, *halves, "--training.iterations", "1")
    resumed = train_small(*ON, *halves, "--training.iterations", "3", resume=True).state.parameters
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_off_nothing_of_it_is_there(train_small, tmp_path):
    plain = train_small("--training.iterations", "2").state.parameters
    off = ("--policy.normalise_observations", "false", "--run_dir", str(tmp_path / "off"))
    found = train_small(*off, "--training.iterations", "2").state.parameters
    assert list(found) == list(plain)
    assert all(torch.equal(found[name], value) for name, value in plain.items())
    assert not {MEAN, VARIANCE, COUNT} & set(found)


def test_what_is_loaded_acts_as_training_did(train_small, tmp_path):
    kept = Kept()
    end = train_small(*ON, "--training.iterations", "2", observers=[kept])
    policy = metarl.load(tmp_path / "run")
    seen = kept.iterations[-1].batch.query.observations[0, 0]
    expected = policy.policy(end.state.parameters, seen).mean.numpy()
    space = policy.action_space
    actions = policy.predict(seen.numpy(), deterministic=True)[0]
    np.testing.assert_array_equal(actions, np.clip(expected, space.low, space.high))
    env = gymnasium.make("metarl/PointNavigation-v0", preset="maml")
    adapted = policy.adapt(env, TASK, episodes=3, steps=2)
    assert all(torch.equal(adapted.parameters[name], end.state.parameters[name]) for name in (MEAN, VARIANCE))
    adapted.save(tmp_path / "goal.safetensors")
    again = metarl.load(tmp_path / "goal.safetensors")
    expected = adapted.predict(seen.numpy(), deterministic=True)[0]
    np.testing.assert_array_equal(again.predict(seen.numpy(), deterministic=True)[0], expected)
    module = again.to_torch(clipped=True)
    np.testing.assert_allclose(module(seen).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    assert {name for name, _ in module.named_parameters()} == {f"{i}.{n}" for i in (1, 3, 5) for n in PARTS}
    with pytest.raises(ValueError, match=r"got one that normalises them: train it without policy\.normalise"):
        adapted.to_sb3("PPO", env)


PARTS = ("weight", "bias")


def test_adaptation_by_the_file_alone_is_that_of_the_run(train_small, tmp_path):
    train_small(*ON, "--training.iterations", "1")
    whole = metarl.load(tmp_path / "run")
    whole.save(tmp_path / "meta.safetensors")
    env = gymnasium.make("metarl/PointNavigation-v0", preset="maml")
    options = {"task": TASK, "episodes": 3, "steps": 1}
    one, other = (p.adapt(env, **options) for p in (whole, metarl.load(tmp_path / "meta.safetensors")))
    assert all(torch.equal(value, other.parameters[name]) for name, value in one.parameters.items())
    assert metarl.evaluate(whole, tasks=2, episodes=2, steps=1).curve.returns.shape == (2, 2)


def test_a_policy_with_memory_is_refused():
    own = {"policy": {"name": "gru", "normalise_observations": True}, "meta_learner": {"name": "rl2"}}
    with pytest.raises(ConfigError, match=r"normalise_observations: expected none with policy.name gru"):
        metarl.read_config({**SMALL, **own, "run_dir": "run"})
