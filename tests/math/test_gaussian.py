import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as reference_kl

from metarl.math.gaussian import DiagonalGaussian


def pair():
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(5, 2, 4, 3, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(parts[0], 0.3 * parts[1]), DiagonalGaussian(parts[2], 0.3 * parts[3]), parts[4]


def test_densities_divergences_and_entropies_are_sums_over_action_dimensions():
    p, q, actions = pair()
    normal, other = Normal(p.mean, p.log_std.exp()), Normal(q.mean, q.log_std.exp())
    torch.testing.assert_close(p.log_prob(actions), normal.log_prob(actions).sum(-1))
    torch.testing.assert_close(p.kl_divergence(q), reference_kl(normal, other).sum(-1))
    torch.testing.assert_close(p.entropy(), normal.entropy().sum(-1))


def test_fisher_product_is_the_hessian_of_the_kl():
    p, tangent, _ = pair()

    def divergence(vector):
        mean, log_std = vector.view(2, 2, 4, 3)
        return p.kl_divergence(DiagonalGaussian(mean, log_std)).sum()

    at = torch.stack(p).reshape(-1)
    hessian = torch.autograd.functional.hessian(divergence, at)
    product = torch.stack(p.fisher_product(tangent)).reshape(-1)
    torch.testing.assert_close(product, hessian @ torch.stack(tangent).reshape(-1))


def test_actions_are_the_mean_and_so_many_standard_deviations():
    p, _, noise = pair()
    normal = Normal(p.mean, p.log_std.exp())
    torch.testing.assert_close(p.draw(noise), normal.mean + normal.stddev * noise)
    torch.testing.assert_close(p.std, normal.stddev)
    torch.testing.assert_close(p.mode, normal.mean)
