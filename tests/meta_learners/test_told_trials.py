"""What updates over trials tell of values and gradients, by slow loops."""

import math
from dataclasses import replace

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.rl2 import rl2, unroll
from metarl.rollouts.rollout import MetaBatch
from metarl.rollouts.trials import join_trials
from tests.meta_learners.test_rl2 import CONFIG, LENGTHS, POLICY, acted, parameters

ONCE = replace(CONFIG, epochs=1, minibatches=1, max_gradient_norm=0.0)


def updated(config):
    """The parameters, trials and values before an update in float64, and the update."""
    theta = parameters()
    batch, _ = acted(theta)
    learner, trials = rl2(POLICY, config, TaskMap()), join_trials(batch)
    values = unroll(POLICY, config, theta, trials)[1].detach()
    return trials, values, learner.update(learner.start(theta), MetaBatch((), batch))


def test_the_value_explains_a_share_of_the_returns_variance():
    """Returns along whole trials by lambda, from their definition: mixtures of n-step returns."""
    trials, values, update = updated(ONCE)
    gamma, weight, returns, predicted = float(ONCE.discount), float(ONCE.gae_lambda), [], []
    for i, length in enumerate(LENGTHS.sum(1).tolist()):
        v = [*values[i, :length].tolist(), 0.0]
        r = trials.rewards[i, :length].tolist()
        for t in range(length):
            ahead = length - t
            steps = [
                sum(gamma**k * r[t + k] for k in range(n)) + gamma**n * v[t + n] for n in range(1, ahead + 1)
            ]
            mixed = (1 - weight) * sum(weight ** (n - 1) * steps[n - 1] for n in range(1, ahead))
            returns.append(mixed + weight ** (ahead - 1) * steps[-1])
            predicted.append(v[t])
    returns, predicted = torch.tensor(returns), torch.tensor(predicted)
    explained = 1 - (returns - predicted).square().mean() / returns.var(correction=0)
    assert update.metrics["value_explained"] == pytest.approx(explained.item(), rel=1e-5)


@pytest.mark.parametrize("longest", [0.0, 1e-3])
def test_the_last_gradients_length_is_told_before_it_is_cut(longest):
    """Adam's first moment after one step is a tenth of the gradient that it was given."""
    _, _, free = updated(ONCE)
    _, _, cut = updated(replace(ONCE, max_gradient_norm=longest))
    given = list(free.state.optimiser.exp_avg.values())
    norm = 10 * math.sqrt(sum(value.square().sum().item() for value in given))
    assert free.metrics["last_gradient_norm"] == pytest.approx(norm, rel=1e-6)
    assert cut.metrics["last_gradient_norm"] == pytest.approx(norm, rel=1e-6)
