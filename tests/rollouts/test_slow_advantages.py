"""Advantages against plain Python floats, on two tasks that have nothing in common."""

from itertools import product

import pytest
import torch

from metarl.math.gaussian import DiagonalGaussian
from metarl.rollouts.advantages import AdvantageConfig, compute_advantages
from metarl.rollouts.rollout import Rollout
from tests.support.slow_advantages import episodes_of, slow_advantages

HORIZON = 9
LENGTHS = torch.tensor([[9, 4, 6, 9], [2, 9, 7, 1]])
TERMINATED = torch.tensor([[False, True, False, True], [True, False, False, False]])
SWITCHES = [*product([False, True], [False, True])]


def unlike_tasks():
    """Rewards about 1 and about -40; observations beyond the clip; ends by the task and by the limit."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    scale = torch.tensor([1.0, 12.0], dtype=torch.float64)[:, None, None]
    observations = 4 * scale[..., None].sqrt() * drawn(2, 4, HORIZON, 2)
    rewards = scale * drawn(2, 4, HORIZON) + torch.tensor([1.0, -40.0])[:, None, None] + observations[..., 0]
    valid = torch.arange(HORIZON) < LENGTHS[..., None]
    observations[~valid], rewards[~valid] = torch.nan, torch.nan
    actions = drawn(2, 4, HORIZON, 1)
    behaviour, final = DiagonalGaussian(actions, actions), 3 * drawn(2, 4, 2)
    return Rollout(
        observations,
        actions,
        rewards,
        valid,
        TERMINATED,
        ~TERMINATED,
        final,
        behaviour,
        actions[..., 0],
    )


@pytest.mark.parametrize(("bootstrap", "normalise"), SWITCHES)
@pytest.mark.parametrize(("discount", "gae_lambda"), [(0.7, 0.95), (0.95, 0.7), (1.0, 0.0), (0.9, 1.0)])
def test_advantages_are_those_of_a_slow_loop(discount, gae_lambda, bootstrap, normalise):
    rollout = unlike_tasks()
    config = AdvantageConfig(discount, gae_lambda, bootstrap, normalise)
    batch, explained = compute_advantages(rollout, config)
    for task in range(2):
        expected, share = slow_advantages(
            episodes_of(rollout, task),
            discount=discount,
            gae_lambda=gae_lambda,
            bootstrap_truncated=bootstrap,
            normalise=normalise,
        )
        for episode, slow in enumerate(expected):
            found = batch.advantages[task, episode]
            assert found[: len(slow)].tolist() == pytest.approx(slow, rel=1e-6, abs=1e-7)
            assert not found[len(slow) :].any()
            rewards = rollout.rewards[task, episode][: len(slow)].tolist()
            assert batch.returns[task, episode].item() == pytest.approx(sum(rewards))
        assert explained[task].item() == pytest.approx(share, rel=1e-6)


def test_the_cases_differ():
    """Every setting matters to both tasks, so that no two can be exchanged unseen."""
    found = [
        compute_advantages(unlike_tasks(), AdvantageConfig(*numbers, *switches))[0].advantages
        for numbers in [(0.7, 0.95), (0.95, 0.7)]
        for switches in SWITCHES
    ]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert ((one - other).abs().amax((1, 2)) > 1e-3).all()


def test_all_else_passes_into_the_batch_as_it_is():
    rollout = unlike_tasks()
    batch, _ = compute_advantages(rollout, AdvantageConfig())
    for name in ("observations", "actions", "valid", "behaviour", "behaviour_log_prob"):
        assert getattr(batch, name) is getattr(rollout, name)
