"""The squashed Gaussian against torch's transformed distributions and against sampling."""

import torch
from torch.distributions import AffineTransform, Normal, TanhTransform, TransformedDistribution

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.squashed import SquashedGaussian

BOUND = 2.5


def pair():
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(5, 4, 2, generator=generator, dtype=torch.float64)
    bound = torch.full((4, 2), BOUND, dtype=torch.float64)
    made = [SquashedGaussian(parts[i], 0.4 * parts[i + 1], bound) for i in (0, 2)]
    return *made, parts[4]


def reference(p):
    transforms = [TanhTransform(cache_size=1), AffineTransform(0.0, BOUND, cache_size=1)]
    return TransformedDistribution(Normal(p.mean, p.log_std.exp()), transforms)


def test_draws_and_densities_are_those_of_the_transformed_gaussian():
    p, _, noise = pair()
    actions, log_prob = p.draw_with_log_prob(noise)
    torch.testing.assert_close(actions, BOUND * torch.tanh(p.mean + p.log_std.exp() * noise))
    torch.testing.assert_close(actions, p.draw(noise))
    torch.testing.assert_close(log_prob, reference(p).log_prob(actions).sum(-1))
    torch.testing.assert_close(p.log_prob(actions), log_prob)
    torch.testing.assert_close(p.mode, BOUND * torch.tanh(p.mean))


def test_moments_are_those_of_many_draws():
    p, _, _ = pair()
    noise = torch.randn(200_000, 4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    actions, log_prob = p.draw_with_log_prob(noise)
    torch.testing.assert_close(p.std, actions.std(0), rtol=0.01, atol=0.0)
    torch.testing.assert_close(p.entropy(), -log_prob.mean(0), rtol=0.0, atol=0.01)


def test_squashing_keeps_the_divergence_and_the_information():
    p, q, noise = pair()
    torch.testing.assert_close(p.kl_divergence(q), p.inner.kl_divergence(q.inner))
    tangent = DiagonalGaussian(noise, -noise)
    found = p.fisher_product(SquashedGaussian(*tangent, torch.ones_like(noise)))
    expected = p.inner.fisher_product(tangent)
    torch.testing.assert_close(found.mean, expected.mean)
    torch.testing.assert_close(found.log_std, expected.log_std)
    assert not found.bound.any()


def test_densities_at_the_bound_are_finite_with_gradients():
    mean = torch.tensor([40.0, -40.0], requires_grad=True)
    p = SquashedGaussian(mean, torch.zeros(2), torch.ones(2))
    actions, log_prob = p.draw_with_log_prob(torch.zeros(2))
    assert actions.tolist() == [1.0, -1.0]
    log_prob.sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(p.log_prob(actions)).all()
