import torch

from metarl.math.gaussian import DiagonalGaussian
from metarl.rollouts.advantages import AdvantageConfig, compute_advantages
from metarl.rollouts.rollout import Rollout


def rollout(garbage: float = 0.0, extra: int = 0, terminated: bool = False) -> Rollout:
    """Two tasks of three episodes, one ended early, with `extra` more steps of padding."""
    generator = torch.Generator().manual_seed(0)
    horizon = 6
    observations = torch.randn(2, 3, horizon, 2, generator=generator)
    rewards = torch.randn(2, 3, horizon, generator=generator)
    valid = torch.ones(2, 3, horizon, dtype=torch.bool)
    valid[0, 1, 3:] = False
    observations[0, 1, 3:], rewards[0, 1, 3:] = garbage, garbage
    if extra:
        observations = torch.cat([observations, torch.full((2, 3, extra, 2), garbage)], 2)
        rewards = torch.cat([rewards, torch.full((2, 3, extra), garbage)], 2)
        valid = torch.cat([valid, torch.zeros(2, 3, extra, dtype=torch.bool)], 2)
    zeros = torch.zeros(*rewards.shape, 1)
    ends = torch.full((2, 3), terminated)
    behaviour = DiagonalGaussian(zeros, zeros)
    final = torch.ones(2, 3, 2)
    return Rollout(observations, zeros, rewards, valid, ends, ~ends, final, behaviour, zeros[..., 0])


def test_padding_and_what_stands_in_it_change_nothing():
    clean, explained = compute_advantages(rollout(), AdvantageConfig())
    dirty, explained_dirty = compute_advantages(rollout(1e6, extra=5), AdvantageConfig())
    torch.testing.assert_close(clean.advantages, dirty.advantages[..., :6], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(explained, explained_dirty, rtol=1e-12, atol=0)
    assert (dirty.advantages[~dirty.valid] == 0).all()


def test_only_truncated_episodes_are_bootstrapped_and_only_on_request():
    plain = AdvantageConfig(normalise=False)
    bootstrap = AdvantageConfig(normalise=False, bootstrap_truncated=True)
    at_truncation = compute_advantages(rollout(), plain)[0].advantages
    bootstrapped = compute_advantages(rollout(), bootstrap)[0].advantages
    assert not torch.allclose(at_truncation, bootstrapped)
    at_termination = compute_advantages(rollout(terminated=True), bootstrap)[0].advantages
    torch.testing.assert_close(at_termination, at_truncation, rtol=0, atol=0)


def test_explained_variance_is_one_when_the_features_hold_the_return():
    """Reward 1 a step, discount 1: the return is linear in time."""
    data = rollout()
    full = torch.ones_like(data.valid)
    constant = Rollout(**{**data.__dict__, "rewards": torch.ones_like(data.rewards), "valid": full})
    _, explained = compute_advantages(constant, AdvantageConfig(discount=1.0))
    torch.testing.assert_close(explained, torch.ones(2, dtype=torch.float64), atol=1e-4, rtol=0)


def test_explained_variance_does_not_depend_on_the_unit_of_rewards():
    data, config = rollout(), AdvantageConfig()
    _, explained = compute_advantages(data, config)
    small = Rollout(**{**data.__dict__, "rewards": 1e-3 * data.rewards})
    torch.testing.assert_close(compute_advantages(small, config)[1], explained, rtol=1e-5, atol=1e-7)


def test_rewards_that_are_all_zero_leave_no_share_undefined():
    data = rollout()
    silent = Rollout(**{**data.__dict__, "rewards": torch.zeros_like(data.rewards)})
    batch, explained = compute_advantages(silent, AdvantageConfig())
    assert torch.isfinite(explained).all()
    assert not batch.advantages.any()


def test_episodes_may_be_one_step_long():
    data = rollout()
    parts = ("observations", "actions", "rewards", "valid", "behaviour_log_prob")
    first = {name: getattr(data, name)[:, :, :1] for name in parts}
    behaviour = DiagonalGaussian(*(part[:, :, :1] for part in data.behaviour))
    short = Rollout(**{**data.__dict__, **first, "behaviour": behaviour})
    batch, _ = compute_advantages(short, AdvantageConfig())
    assert batch.advantages.shape == (2, 3, 1)
    assert torch.isfinite(batch.advantages).all()
