"""What an update of VariBAD tells of beliefs: how sure they are, and what is decoded from them."""

import pytest
import torch

from metarl.meta_learners.varibad import beliefs_of
from metarl.objectives.beliefs import final_beliefs
from metarl.objectives.decoders import decoded, rewards_asked, states_asked
from metarl.rollouts.rollout import MetaBatch
from metarl.rollouts.trials import join_trials
from tests.support.tiny_beliefs import LENGTHS, POLICY, acted, learner, mlp, parameters


@pytest.fixture(params=[0.0, float("nan")])
def told(request):
    """The metrics of an update, its parameters before, its trials, and the beliefs about them."""
    theta, made = parameters(), learner()
    batch, _ = acted(theta, request.param)
    trials = join_trials(batch)
    return made.update(made.start(theta), MetaBatch((), batch)).metrics, theta, trials


def test_how_sure_beliefs_are_is_of_steps_that_were_taken(told):
    metrics, theta, trials = told
    std = beliefs_of(POLICY, theta, trials).std
    lengths = LENGTHS.sum(1).tolist()
    after = torch.cat([std[i, 1 : length + 1] for i, length in enumerate(lengths)])
    ends = torch.stack([std[i, length] for i, length in enumerate(lengths)])
    assert metrics["prior_std"] == pytest.approx(std[0, 0].mean().item())
    assert metrics["belief_std"] == pytest.approx(after.mean().item())
    assert metrics["final_belief_std"] == pytest.approx(ends.mean().item())


def test_explained_rewards_are_decoded_from_the_last_beliefs(told):
    """The share of the rewards' variance, by a loop over trials and steps."""
    metrics, theta, trials = told
    beliefs, rewards, errors = beliefs_of(POLICY, theta, trials), [], []
    for i, length in enumerate(LENGTHS.sum(1).tolist()):
        for t in range(length):
            step = (trials.observations[i, t], trials.actions[i, t], trials.next_observations[i, t])
            found = mlp(theta, "rewards", torch.cat((beliefs.mean[i, length], *step)))
            rewards.append(trials.rewards[i, t])
            errors.append((found[0] - trials.rewards[i, t]) ** 2)
    explained = 1 - torch.stack(errors).mean() / torch.stack(rewards).var(correction=0)
    assert metrics["rewards_explained"] == pytest.approx(explained.item())


def test_a_latent_decodes_every_step_of_its_own_trial():
    theta = parameters()
    trials = join_trials(acted(theta, float("nan"))[0])
    ends = final_beliefs(beliefs_of(POLICY, theta, trials), LENGTHS.sum(1)).mean
    for name, asked in (("rewards", rewards_asked(trials)), ("states", states_asked(trials))):
        found = decoded(theta, name, ends, asked)
        assert torch.isfinite(found).all()
        for i, length in enumerate(LENGTHS.sum(1).tolist()):
            for t in range(length):
                expected = mlp(theta, name, torch.cat((ends[i], asked.inputs[i, t])))
                torch.testing.assert_close(found[i, t], expected)
