"""A GRU over a whole sequence with its derivative written out, for CPUs.

torch differentiates its own CPU kernel step by step, some twenty small operations each, the products of the
weights' gradients among them. Here all of a step's derivative that does not need the step after it is found
for all steps at once, so that four operations a step are left; weights take one product over all steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class GruSequence(torch.autograd.Function):
    """Hidden states [trial, time, h] of inputs [trial, time, in] from a state of zeros, as torch's GRU.

    `apply(inputs, input_weight, hidden_weight, input_bias, hidden_bias)`, in the shapes of `gru_parameters`.
    Differentiable once.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, of_input: Tensor, of_hidden: Tensor, input_bias: Tensor, hidden_bias: Tensor
    ) -> Tensor:
        (trials, length, _), size = inputs.shape, of_hidden.shape[-1]
        sequence = inputs.transpose(0, 1)
        seen = sequence @ of_input.T + input_bias  # [time, trial, 3 h]
        gates = torch.empty_like(seen)  # r, z, and U_n h + b
        new = seen.new_empty(length, trials, size)
        hidden = seen.new_zeros(length + 1, trials, size)
        weight = of_hidden.T.contiguous()
        both = slice(0, 2 * size)
        pieces = (
            hidden[:-1],
            hidden[1:],
            seen[..., both],
            seen[..., 2 * size :],
            new,
            gates,
            gates[..., both],
        )
        steps = (x.unbind() for x in (*pieces, *gates.chunk(3, dim=-1)))
        for before, after, seen_both, seen_new, candidate, gate, of_both, reset, update, remembered in zip(
            *steps, strict=True
        ):
            torch.addmm(hidden_bias, before, weight, out=gate)
            of_both.add_(seen_both).sigmoid_()
            torch.addcmul(seen_new, reset, remembered, out=candidate).tanh_()
            torch.lerp(candidate, before, update, out=after)
        ctx.save_for_backward(inputs, of_input, of_hidden, gates, new, hidden)
        return hidden[1:].transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, of_input, of_hidden, gates, new, hidden = ctx.saved_tensors
        reset, update, remembered = gates.chunk(3, dim=-1)
        of_new = (1 - update) * (1 - new.square())  # d h' / d (argument of tanh)
        of_update = (hidden[:-1] - new) * update * (1 - update)
        of_reset = of_new * remembered * reset * (1 - reset)
        through_hidden = torch.stack((of_reset, of_update, of_new * reset), dim=-2)  # [time, trial, 3, h]
        of_states = _of_states(of_outputs[0].transpose(0, 1), through_hidden, update, of_hidden)
        by_hidden = (of_states.unsqueeze(-2) * through_hidden).flatten(-2)  # [time, trial, 3 h]
        by_input = torch.cat((by_hidden[..., : -new.shape[-1]], of_states * of_new), dim=-1)
        needed, rows = ctx.needs_input_grad, by_input.flatten(0, 1)
        return (
            (by_input @ of_input).transpose(0, 1) if needed[0] else None,
            rows.T @ inputs.transpose(0, 1).flatten(0, 1) if needed[1] else None,
            by_hidden.flatten(0, 1).T @ hidden[:-1].flatten(0, 1) if needed[2] else None,
            rows.sum(0) if needed[3] else None,
            by_hidden.sum((0, 1)) if needed[4] else None,
        )


def _of_states(of_outputs: Tensor, through_hidden: Tensor, update: Tensor, of_hidden: Tensor) -> Tensor:
    """The loss's derivative by every state, all that it leads to included, [time, trial, h]."""
    found = torch.empty_like(update)
    later = update.new_zeros(update.shape[1:])
    steps = (x.unbind()[::-1] for x in (found, of_outputs, through_hidden, update))
    for here, of_output, through, kept in zip(*steps, strict=True):
        torch.add(of_output, later, out=here)
        later = torch.addmm(here * kept, (here.unsqueeze(1) * through).flatten(1), of_hidden)
    return found
