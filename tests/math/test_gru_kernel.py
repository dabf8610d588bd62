"""The GRU whose derivative is written out, against finite differences and torch's own."""

import pytest
import torch

from metarl.policies.gru import gru_cell, gru_parameters, gru_sequence
from metarl.policies.gru_kernel import GruSequence

TRIALS, LENGTH, INPUTS, HIDDEN = 3, 5, 2, 4


def arguments(requires_grad=True, seed=0):
    draw = torch.Generator().manual_seed(seed)
    shapes = (
        (TRIALS, LENGTH, INPUTS),
        (3 * HIDDEN, INPUTS),
        (3 * HIDDEN, HIDDEN),
        (3 * HIDDEN,),
        (3 * HIDDEN,),
    )
    return [
        torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_(requires_grad)
        for shape in shapes
    ]


def torch_own(inputs, *weights):
    start = inputs.new_zeros(1, len(inputs), HIDDEN)
    return torch.gru(inputs, start, weights, True, 1, 0.0, True, False, True)[0]


def test_the_derivative_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(GruSequence.apply, arguments())


def test_states_and_gradients_are_those_of_torch():
    weigh = torch.randn(TRIALS, LENGTH, HIDDEN, generator=torch.Generator().manual_seed(1)).double()
    found = []
    for sequence in (GruSequence.apply, torch_own):
        given = arguments()
        states = sequence(*given)
        found.append([states, *torch.autograd.grad((states * weigh).sum(), given)])
    for own, theirs in zip(*found, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fixed", range(5))
def test_what_is_constant_is_not_differentiated_and_changes_no_other_gradient(fixed):
    given = arguments()
    everything = torch.autograd.grad(GruSequence.apply(*given).square().sum(), given)
    given[fixed] = given[fixed].detach()
    rest = [one for i, one in enumerate(given) if i != fixed]
    found = torch.autograd.grad(GruSequence.apply(*given).square().sum(), rest)
    for own, theirs in zip(found, (g for i, g in enumerate(everything) if i != fixed), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-12, atol=1e-12)


def test_a_sequence_is_its_cells_one_after_the_other():
    parameters = gru_parameters("gru", INPUTS, HIDDEN, torch.Generator().manual_seed(0))
    parameters = {name: value.double() for name, value in parameters.items()}
    inputs, hidden = arguments(False)[0], torch.zeros(TRIALS, HIDDEN, dtype=torch.float64)
    states = gru_sequence(parameters, "gru", inputs)
    for t in range(LENGTH):
        hidden = gru_cell(parameters, "gru", inputs[:, t], hidden)
        torch.testing.assert_close(states[:, t], hidden, rtol=1e-12, atol=1e-12)


def test_a_second_derivative_is_refused():
    given = arguments()
    (first,) = torch.autograd.grad(GruSequence.apply(*given).sum(), given[1], create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(first.sum(), given[1])


def test_no_trials_and_no_steps_have_no_states():
    inputs, *weights = arguments()
    for few, shape in ((inputs[:0], (0, LENGTH, HIDDEN)), (inputs[:, :0], (TRIALS, 0, HIDDEN))):
        states = GruSequence.apply(few, *weights)
        assert states.shape == shape
        assert not any(gradient.any() for gradient in torch.autograd.grad(states.sum(), weights))
