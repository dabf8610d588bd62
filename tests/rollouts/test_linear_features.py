import numpy as np
import pytest
import torch

from metarl.rollouts.linear_features import features, fit, predict


def inputs_and_targets(tasks=2, episodes=3, horizon=8):
    generator = torch.Generator().manual_seed(0)
    observations = 8 * torch.randn(tasks, episodes, horizon, 3, generator=generator)
    time = torch.arange(horizon).expand(tasks, episodes, horizon)
    targets = torch.randn(tasks, episodes, horizon, generator=generator, dtype=torch.float64)
    return features(observations, time), targets, torch.ones(tasks, episodes, horizon, dtype=torch.bool)


def test_features_are_the_papers():
    result = features(torch.tensor([[2.0, -50.0]]), torch.tensor([30]))
    expected = [[2, -10, 4, 100, 0.3, 0.09, 0.027, 1]]
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert result.dtype == torch.float64


def test_fit_is_the_ridge_solution_of_each_tasks_valid_steps():
    inputs, targets, valid = inputs_and_targets()
    valid[0, 1, 4:] = False
    inputs[0, 1, 4:], targets[0, 1, 4:] = float("nan"), 1e9
    weights = fit(inputs, targets, valid, ridge=0.3)
    for task in range(2):
        f, y = inputs[task][valid[task]].numpy(), targets[task][valid[task]].numpy()
        expected = np.linalg.solve(f.T @ f + 0.3 * np.eye(f.shape[1]), f.T @ y)
        np.testing.assert_allclose(weights[task], expected, rtol=1e-8)
    values = predict(weights, inputs)
    torch.testing.assert_close(values[1, 2, 3], inputs[1, 2, 3] @ weights[1])


def test_fit_is_finite_when_one_step_is_valid_and_columns_repeat():
    inputs, targets, valid = inputs_and_targets()
    inputs = torch.cat([inputs, inputs], dim=-1) * 1e8
    valid[0] = False
    valid[0, 0, 0] = True
    assert torch.isfinite(fit(inputs, targets, valid)).all()


def test_only_a_singular_tasks_ridge_grows_and_tenfold():
    """Columns repeated at 1e8 are singular up to a ridge of 1; a third one's weight is 1 / (1 + ridge)."""
    inputs = torch.zeros(2, 1, 2, 3, dtype=torch.float64)
    inputs[:, 0, 1, 2] = 1.0
    inputs[0, 0, 0, :2] = 1e8
    targets, valid = torch.ones(2, 1, 2), torch.ones(2, 1, 2, dtype=torch.bool)
    singular, healthy = fit(inputs, targets, valid, ridge=1e-5)[:, 2].tolist()
    assert singular == pytest.approx(1 / (1 + 10), rel=1e-9)
    assert healthy == pytest.approx(1 / (1 + 1e-5), rel=1e-12)
