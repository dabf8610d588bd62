"""The evidence lower bound of beliefs about a task (Zintgraf et al. 2020), on whole trials.

ELBO_t = E_{z ~ q_t} sum_k log p(r_k | s_{k-1}, a_{k-1}, s_k, z) - beta KL(q_t || q_{t-1}),  q_{-1} = N(0, I),

summed over t = 0, ..., T: the belief after every prefix decodes the whole trial, past and future. Both parts
are means over trials, so that beta does not depend on how many there are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metarl.math.gaussian import DiagonalGaussian
from metarl.objectives.decoders import Decode


class Picked(NamedTuple):
    """Some of a trial's own numbers, and weights that make a sum over them one over all.

    Args:
        places: [trial, n].
        weight: [trial, n]; 0 where a trial has not so many.
    """

    places: Tensor
    weight: Tensor

    def of(self, values: Tensor) -> Tensor:
        """The picked ones of values [trial, time, ...], each from its own trial."""
        index = self.places.view(*self.places.shape, *[1] * (values.ndim - 2))
        return values.gather(1, index.expand(*self.places.shape, *values.shape[2:]))


class BeliefLoss(NamedTuple):
    """Means over trials; scalars."""

    reconstruction: Tensor
    kl: Tensor


def pick_all(counts: Tensor, dtype: torch.dtype) -> Picked:
    """All of 0, ..., count - 1 of every trial, from counts [trial]."""
    every = torch.arange(max(counts.tolist(), default=0), device=counts.device).expand(len(counts), -1)
    there = every < counts.unsqueeze(-1)
    return Picked(torch.where(there, every, 0), there.to(dtype))


def pick(counts: Tensor, uniform: Tensor, dtype: torch.dtype) -> Picked:
    """Some of 0, ..., count - 1 of every trial, taken with replacement; an unbiased sum.

    Args:
        counts: [trial].
        uniform: draws from [0, 1), [trial, n] float64; where n is 0, all are taken.
    """
    if not uniform.shape[1]:
        return pick_all(counts, dtype)
    index = (uniform * counts.unsqueeze(-1)).long()
    return Picked(index, (counts.unsqueeze(-1) / uniform.shape[1]).to(dtype).expand(uniform.shape))


def chain_kl(beliefs: DiagonalGaussian, lengths: Tensor) -> Tensor:
    """sum_t KL(q_t || q_{t-1}) over a trial's prefixes 0, ..., its length, q_{-1} = N(0, I); [trial].

    Args:
        beliefs: tensors [trial, time + 1, z], the prior first.
        lengths: [trial].
    """
    start = torch.zeros_like(beliefs.mean[:, :1])
    before = DiagonalGaussian(*(torch.cat((start, part[:, :-1]), dim=1) for part in beliefs))
    divergence = beliefs.kl_divergence(before)
    there = torch.arange(divergence.shape[1], device=lengths.device) <= lengths.unsqueeze(-1)
    return torch.where(there, divergence, 0.0).sum(1)


def final_beliefs(beliefs: DiagonalGaussian, lengths: Tensor) -> DiagonalGaussian:
    """Those after whole trials, tensors [trial, z].

    Args:
        beliefs: tensors [trial, time + 1, z], the prior first.
        lengths: [trial].
    """
    rows = torch.arange(len(lengths), device=lengths.device)
    return DiagonalGaussian(*(part[rows, lengths] for part in beliefs))


def reconstruction(
    decode: Decode,
    beliefs: DiagonalGaussian,
    noise: Tensor,
    inputs: Tensor,
    targets: Tensor,
    prefixes: Picked,
    steps: Picked,
) -> Tensor:
    """sum_t sum_j mean over a target's numbers of (decode(z_t, x_j) - y_j)^2, z_t ~ q_t; [trial].

    Args:
        decode: (z [..., z], x [..., in]) -> [..., out].
        beliefs: tensors [trial, time + 1, z], the prior first.
        noise: standard normal, [trial, prefix, z], one of a picked prefix.
        inputs: x, [trial, time, in].
        targets: y, [trial, time, out].
        prefixes: of 0, ..., length.
        steps: of 0, ..., length - 1.
    """
    drawn = DiagonalGaussian(*(prefixes.of(part) for part in beliefs)).draw(noise).unsqueeze(2)
    seen, wanted = steps.of(inputs).unsqueeze(1), steps.of(targets).unsqueeze(1)
    shape = (-1, prefixes.places.shape[1], steps.places.shape[1], -1)
    found = decode(drawn.expand(shape), seen.expand(shape))
    errors = (found - wanted).square().mean(-1)
    return torch.einsum("npj,np,nj->n", errors, prefixes.weight, steps.weight)
