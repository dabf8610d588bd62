"""ProMP's gradient where every episode is enumerated: adaptation is a step up the expected return."""

from itertools import permutations

import pytest
import torch

from metarl.compute.task_map import TaskMap, select_task
from metarl.meta_learners.learner import LearnerState, named_tensors
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.meta_learners.promp import PrompConfig, adapt_penalties, promp, with_penalties
from metarl.rollouts.rollout import MetaBatch
from tests.support.bandit import (
    POLICY,
    THETA,
    all_episodes,
    expected_return,
    mean_and_std,
    named,
    return_gradient,
    slope,
    vector,
)
from tests.support.references import kl, path
from tests.support.tiny import (
    adam_gradient,
    sampled_meta_batch,
    state_of,
    through_a_checkpoint,
    tiny_learner,
    tiny_state,
)

ALPHA, ETA = 0.8, 0.7


def adapted(theta, steps):
    """theta^0 ... theta^K by the exact gradient of the expected return."""
    path = [theta]
    for _ in range(steps):
        path.append(path[-1] + ALPHA * return_gradient(path[-1]))
    return path


def divergence(old, new):
    """KL of two Gaussians."""
    (mean, std), (new_mean, new_std) = mean_and_std(old), mean_and_std(new)
    return (new_std / std).log() + (std**2 + (mean - new_mean) ** 2) / (2 * new_std**2) - 0.5


def bandit_config(steps, **settings):
    return PrompConfig(
        inner_step_size=ALPHA,
        inner_steps=steps,
        kl_penalty=ETA,
        clipped=ClippedConfig(epochs=1, clip=0.9),
        **settings,
    )


def climbed(learner, theta, steps, **held):
    """The learner's gradient and gain at theta, on what the policies adapted from THETA sampled."""
    *support, query = map(all_episodes, adapted(THETA, steps))
    update = learner.update(state_of(learner, named(theta), **held), MetaBatch(tuple(support), query))
    return vector(adam_gradient(update, named(theta))), update.metrics["surrogate_before"]


def learned(theta, steps, objective="lvc"):
    learner = promp(POLICY, bandit_config(steps, inner_objective=objective), TaskMap(None, 1))
    return climbed(learner, theta, steps)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_gradient_equals_finite_differences_of_the_expected_return(steps):
    gradient, gain = learned(THETA, steps)
    assert gain == pytest.approx(expected_return(adapted(THETA, steps)[-1]).item(), abs=1e-9)
    exact = slope(lambda theta: expected_return(adapted(theta, steps)[-1]), THETA)
    torch.testing.assert_close(gradient, exact, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_gradient_of_the_log_likelihood_misses_a_part(steps):
    """The "vpg" inner loss takes the same steps, but has another Hessian (section 4)."""
    gradient, gain = learned(THETA, steps, "vpg")
    exact, exact_gain = learned(THETA, steps)
    assert gain == pytest.approx(exact_gain, abs=1e-9)
    assert (gradient - exact).norm() > 0.03 * exact.norm()


AWAY = THETA + torch.tensor([0.02, -0.03, 0.02], dtype=torch.float64)
UNEQUAL = [0.2, 1.7, 0.9]


def penalised(at, penalties):
    """The expected return after adaptation less the mean of eta_k KL(sampled^k || pi_theta^k)."""
    steps = len(penalties)
    pairs = zip(penalties, adapted(THETA, steps), adapted(at, steps), strict=False)
    moved = [eta * divergence(old, new) for eta, old, new in pairs]
    return expected_return(adapted(at, steps)[-1]) - sum(moved) / steps


@pytest.mark.parametrize("steps", [1, 2])
def test_away_from_the_policy_that_sampled_the_penalty_pulls_back(steps):
    gradient, gain = learned(AWAY, steps)
    assert gain == pytest.approx(penalised(AWAY, [ETA] * steps).item(), abs=1e-8)
    torch.testing.assert_close(
        gradient, slope(lambda at: penalised(at, [ETA] * steps), AWAY), rtol=1e-5, atol=1e-7
    )
    without = slope(lambda at: expected_return(adapted(at, steps)[-1]), AWAY)
    assert (without - gradient).norm() > 1e-3


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize("how", ["fixed", "adaptive"])
def test_every_penalty_holds_its_own_inner_step(steps, how):
    penalties, task_map = UNEQUAL[:steps], TaskMap(None, 1)
    if how == "fixed":
        learner = with_penalties(POLICY, bandit_config(steps), task_map, penalties)
        gradient, gain = climbed(learner, AWAY, steps)
    else:
        learner = promp(POLICY, bandit_config(steps, kl_target=1.0), task_map)
        held = torch.tensor(penalties, dtype=torch.float64)
        gradient, gain = climbed(learner, AWAY, steps, kl_penalties=held)
    assert gain == pytest.approx(penalised(AWAY, penalties).item(), abs=1e-8)
    exact = slope(lambda at: penalised(at, penalties), AWAY)
    torch.testing.assert_close(gradient, exact, rtol=1e-5, atol=1e-7)
    for other in permutations(penalties):
        exchanged = slope(lambda at, other=other: penalised(at, other), AWAY)
        assert list(other) == penalties or (exchanged - gradient).norm() > 1e-3 * gradient.norm()


def test_penalties_double_far_above_the_target_and_halve_far_below():
    divergences = torch.tensor([0.0, 0.0066, 0.0067, 0.01, 0.0149, 0.0151, 9.0])
    adapted = adapt_penalties(torch.full((7,), 8.0), divergences, 0.01)
    assert adapted.tolist() == [4, 4, 8, 8, 8, 16, 16]


def adaptive(target, steps=2, **settings):
    return tiny_learner("promp", steps, clipped=ClippedConfig(epochs=2), kl_target=target, **settings)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_every_inner_steps_penalty_follows_its_own_kl(steps):
    """Measured after the update, in the policies that would sample now; penalties are unequal at first."""
    penalties = torch.tensor([0.5, 0.3, 0.7][:steps], dtype=torch.float64)
    learner, config = adaptive(1.0, steps)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    held = state_of(learner, theta, kl_penalties=penalties)
    after = learner.update(held, batch).state.parameters
    moved = []
    for i in range(batch.tasks):
        support = [select_task(data, i) for data in batch.support]
        passed = path("promp", dict(after), support, config, lambda k: False)
        moved.append([kl(at, data).item() for at, data in zip(passed[:-1], support, strict=True)])
    means = torch.tensor(moved, dtype=torch.float64).mean(0)
    assert steps == 1 or means.max() > 1.1 * means.min()
    target = means.max().item() / 1.6  # that step's penalty doubles, and no other's
    update = adaptive(target, steps)[0].update(held, batch)
    for k in range(steps):
        assert update.metrics[f"sampling_kl_{k}"] == pytest.approx(means[k].item(), rel=1e-7)
        factor = 2.0 if means[k] == means.max() else 0.5 if means[k] < target / 1.5 else 1.0
        assert update.metrics[f"kl_penalty_{k}"] == penalties[k] * factor
        assert update.state.optimiser.kl_penalties[k] == update.metrics[f"kl_penalty_{k}"]


def test_adapted_penalties_enter_the_next_update_and_survive_a_checkpoint(tmp_path):
    learner, _ = adaptive(1e-9)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta)
    once = learner.update(learner.start(theta), batch).state
    read = through_a_checkpoint(once, tmp_path)
    straight, through = (learner.update(s, batch).state for s in (once, read))
    pairs = (
        (straight.parameters, through.parameters),
        map(named_tensors, (straight.optimiser, through.optimiser)),
    )
    for one, other in pairs:
        assert all(torch.equal(value, other[n]) for n, value in one.items())
    assert straight.optimiser.kl_penalties.tolist() == [4 * 5e-4] * 2
    fixed, _ = tiny_learner("promp", 2, clipped=ClippedConfig(epochs=2), kl_penalty=1e-3)
    expected = fixed.update(LearnerState(once.parameters, once.optimiser.adam), batch).state.parameters
    assert all(torch.equal(straight.parameters[n], value) for n, value in expected.items())


def test_without_a_target_the_penalty_is_fixed():
    learner, _ = adaptive(0.0)
    theta = tiny_state(learner)
    update = learner.update(learner.start(theta), sampled_meta_batch(learner, theta))
    assert "kl_penalties" not in named_tensors(update.state.optimiser)
    with pytest.raises(ValueError, match="kl_penalty: expected a number > 0 with a kl_target"):
        adaptive(0.01, kl_penalty=0.0)


def test_penalties_stay_exactly_at_the_bounds():
    adapted = adapt_penalties(torch.full((2,), 8.0), torch.tensor([9.0, 4.0]), 6.0)
    assert adapted.tolist() == [8, 8]


def test_a_rejected_update_leaves_the_penalties():
    wild, _ = tiny_learner("promp", 2, clipped=ClippedConfig(learning_rate=1e20), kl_target=0.01)
    theta = tiny_state(wild)
    state = wild.start(theta)
    update = wild.update(state, sampled_meta_batch(wild, theta))
    assert update.rejection
    assert update.state.optimiser.kl_penalties.tolist() == [5e-4] * 2
    for name, value in named_tensors(state.optimiser).items():
        assert torch.equal(named_tensors(update.state.optimiser)[name], value)
