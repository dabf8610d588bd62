"""Products of Gaussian factors: exact, whatever the order, and N(0, I) of nothing."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from metarl.math.gaussian import DiagonalGaussian
from metarl.math.gaussian_product import NaturalGaussian, kl_to_unit, natural


def factors(number=7):
    generator = torch.Generator().manual_seed(0)
    mean, raw = torch.randn(2, 4, number, 3, generator=generator, dtype=torch.float64)
    return mean, (0.7 * raw).exp()


def test_a_product_is_the_product_of_the_densities():
    mean, variance = factors()
    found = natural(mean, variance).product(1).gaussian()
    points = torch.linspace(-3, 3, 5, dtype=torch.float64).view(5, 1, 1)
    direct = Normal(mean, variance.sqrt()).log_prob(points.unsqueeze(2)).sum(2)
    difference = Normal(found.mean, found.std).log_prob(points) - direct
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))


@pytest.mark.parametrize("prior", [False, True])
def test_a_product_is_the_posterior_of_noisy_observations_of_a_number(prior):
    """Conjugate: n looks y of known variance at z, with the prior N(0, 1) or without."""
    mean, variance = factors()
    found = natural(mean, variance).product(1)
    if prior:
        found = NaturalGaussian(found.precision + 1, found.weighted)
    weights = 1 / variance
    total = weights.sum(1) + (1.0 if prior else 0.0)
    torch.testing.assert_close(found.gaussian().mean, (weights * mean).sum(1) / total)
    torch.testing.assert_close(found.gaussian().std, total.rsqrt())


def test_order_and_splits_change_nothing_but_rounding():
    mean, variance = factors()
    whole = natural(mean, variance).product(1)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    shuffled = natural(mean[:, order], variance[:, order]).product(1)
    parts = [natural(mean[:, part], variance[:, part]).product(1) for part in (slice(0, 2), slice(2, 7))]
    for i in range(2):
        torch.testing.assert_close(shuffled[i], whole[i], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(parts[0][i] + parts[1][i], whole[i], rtol=1e-12, atol=1e-12)


def test_nothing_is_the_unit_prior_and_one_factor_is_itself():
    mean, variance = factors(1)
    none = natural(mean[:, :0], variance[:, :0]).product(1).gaussian()
    assert torch.equal(none.mean, torch.zeros_like(none.mean))
    assert torch.equal(none.std, torch.ones_like(none.std))
    one = natural(mean, variance).product(1).gaussian()
    torch.testing.assert_close(one.mean, mean[:, 0])
    torch.testing.assert_close(one.std, variance[:, 0].sqrt())


def test_what_is_not_a_number_is_not_nothing():
    gaussian = NaturalGaussian(torch.tensor([torch.nan, 0.0]), torch.tensor([torch.nan, 0.0])).gaussian()
    assert gaussian.mean.isnan().tolist() == gaussian.std.isnan().tolist() == [True, False]


def test_smallest_variances_do_not_overflow():
    mean, variance = torch.full((1, 4000, 2), 30.0), torch.full((1, 4000, 2), 1e-7)
    found = natural(mean.requires_grad_(), variance.requires_grad_()).product(1).gaussian()
    torch.testing.assert_close(found.mean, torch.full((1, 2), 30.0))
    found.mean.sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(variance.grad).all()


def test_the_gradient_of_nothing_is_finite():
    precision = torch.zeros(2, requires_grad=True)
    gaussian = NaturalGaussian(precision, torch.zeros(2)).gaussian()
    (gaussian.mean + gaussian.log_std).sum().backward()
    assert torch.isfinite(precision.grad).all()


def test_the_kl_to_the_unit_prior():
    mean, variance = factors()
    gaussian = DiagonalGaussian(mean, 0.5 * variance.log())
    unit = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    torch.testing.assert_close(
        kl_to_unit(gaussian), kl_divergence(Normal(mean, variance.sqrt()), unit).sum(-1)
    )
