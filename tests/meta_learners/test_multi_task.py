"""Multi-task pre-training: the plain policy gradient over tasks, and fine-tuning by the shared inner step."""

import pytest
import torch

from metarl.compute.task_map import select_task
from metarl.math.parameters import flatten, unflatten
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.objectives.policy_gradient import surrogate
from metarl.rollouts.rollout import MetaBatch
from tests.support.references import surrogate as reference_surrogate
from tests.support.tiny import adam_gradient, adapted_by, sampled_meta_batch, tiny_learner, tiny_state


def setup(**settings):
    learner, config = tiny_learner("multi_task", **settings)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    return learner, config, theta, MetaBatch((), batch.query)


def test_no_inner_step_is_taken_in_training():
    assert setup()[0].inner_steps == 0


def test_gradient_is_that_of_the_tasks_mean_surrogate():
    learner, _, theta, batch = setup(outer="ppo", clipped=ClippedConfig(epochs=1))
    at = flatten(theta).requires_grad_()
    gains = [
        reference_surrogate(unflatten(at, theta), select_task(batch.query, i), None)
        for i in range(batch.tasks)
    ]
    (expected,) = torch.autograd.grad(torch.stack(gains).mean(), at)
    found = flatten(adam_gradient(learner.update(learner.start(theta), batch), theta))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_trust_region_bounds_the_policies_of_theta_itself():
    learner, _, theta, batch = setup()
    update = learner.update(learner.start(theta), batch)
    assert update.rejection is None
    assert 0 < update.metrics["kl"] <= 0.01
    gain = surrogate(learner.policy)

    def mean_gain(at):
        return sum(gain(at, select_task(batch.query, i)) for i in range(batch.tasks)) / batch.tasks

    assert mean_gain(update.state.parameters) > mean_gain(theta)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_fine_tuning_is_mamls_inner_step(k):
    learner, _, theta, batch = setup()
    maml, _ = tiny_learner("maml", 2)
    support = select_task(batch.query, 0)
    found, expected = (adapted_by(one, theta, support, k) for one in (learner, maml))
    assert all(torch.equal(found[n], value) for n, value in expected.items())
    assert not torch.equal(found["mean.bias"], theta["mean.bias"])
