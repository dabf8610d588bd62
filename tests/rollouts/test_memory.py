"""A policy that remembers: what it carries through the steps and episodes of a trial."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from metarl_envs.foreign.foreign_vector_env import ForeignVectorEnv

from metarl.adaptation.evaluation import evaluate_adaptation
from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import repeat
from metarl.meta_learners.learner import LearnerState, MetaLearner, Update
from metarl.policies.policy import TaskState
from metarl.rollouts.advantages import AdvantageConfig
from metarl.rollouts.episodes import EpisodeSampler
from metarl.rollouts.recording import join_episodes
from metarl.rollouts.rollout import next_observations, trial_starts
from metarl.rollouts.sampler import RolloutSampler, lanes_of
from tests.support.tiny_envs import Echo

KEY, EPISODES, HORIZON, TASKS = (3, 1, 4), 3, 5, {"goal": np.array([-3.0, 0.5])}


@dataclass(frozen=True)
class Counting:
    """Carries how many steps, ends and episodes it saw, all it was told of the last step, and noise."""

    observation_size: int = 3
    action_size: int = 2
    episode_noise_size: int = 1

    def initial_parameters(self, generator):
        return {"bias": torch.zeros(2)}

    def begin_trial(self, parameters, tasks, lanes):
        numbers = ("steps", "ends", "episodes", "reward", "acted", "z")
        told = torch.zeros(tasks, lanes, 10)
        return {"told": told, **{name: torch.zeros(tasks, lanes) for name in numbers}}

    def begin_episode(self, parameters, carry, noise):
        return {**carry, "episodes": carry["episodes"] + 1, "z": noise[..., 0]}

    def act(self, parameters, carry, observations):
        mean = carry["steps"].unsqueeze(-1).expand(*observations.shape[:-1], 2)
        distribution = DiagonalGaussian(mean, torch.full_like(mean, -3.0))
        return distribution, {**carry, "acted": carry["acted"] + 1}

    def observe(self, parameters, carry, step):
        return {
            **carry,
            "steps": carry["steps"] + 1,
            "ends": carry["ends"] + step.last,
            "reward": step.rewards,
            "told": torch.cat(
                (
                    step.observations,
                    step.actions,
                    step.next_observations,
                    torch.stack((step.terminated, step.last), -1),
                ),
                -1,
            ),
        }

    def __call__(self, parameters, observations):
        raise AssertionError("a policy with memory is asked by its act")


def sampler(tasks=2, first_task=0):
    policy = Counting()
    envs = ForeignVectorEnv(Echo, tasks * lanes_of(policy, EPISODES), "sync")
    settings = {"episodes_per_task": EPISODES, "horizon": HORIZON, "device": torch.device("cpu")}
    return RolloutSampler(envs, policy, first_task=first_task, **settings)


def state(tasks=2):
    return TaskState(repeat(Counting().initial_parameters(torch.Generator()), tasks))


def one_environment():
    env = EpisodeSampler(Echo(), Counting(), episodes=EPISODES, horizon=HORIZON)
    return env.collect(state(1), {"goal": -3.0}, KEY)


@pytest.mark.parametrize("where", ["batch", "one environment"])
def test_a_carry_counts_every_valid_step_of_the_trial_and_nothing_else(where):
    rollout = sampler().collect(state(), TASKS, KEY) if where == "batch" else one_environment()
    tasks = len(rollout.rewards)
    assert rollout.rewards.shape == (tasks, EPISODES, HORIZON)
    carry = rollout.carry
    assert torch.equal(carry["steps"], rollout.valid.sum((1, 2)).unsqueeze(-1).float())
    assert torch.equal(carry["acted"], carry["steps"])
    assert carry["ends"].tolist() == [[EPISODES]] * tasks
    assert carry["episodes"].tolist() == [[EPISODES]] * tasks
    # Episode 2 begins with what episode 1 left: the mean is the number of steps before.
    before = rollout.valid.flatten(1).cumsum(1).view_as(rollout.valid) - rollout.valid.long()
    seen = rollout.behaviour.mean[..., 0]
    assert torch.equal(seen[rollout.valid], before[rollout.valid].float())
    last = rollout.rewards[:, -1].gather(1, rollout.valid[:, -1].sum(1, keepdim=True) - 1)
    assert torch.equal(carry["reward"], last)


@pytest.mark.parametrize("where", ["batch", "one environment"])
def test_a_policy_is_told_all_of_a_step(where):
    """Of the last valid one at last, whatever the other tasks still did."""
    rollout = sampler().collect(state(), TASKS, KEY) if where == "batch" else one_environment()
    for task, told in enumerate(rollout.carry["told"][:, 0]):
        t = rollout.valid[task, -1].sum() - 1
        before, action, after, ends = told.split((3, 2, 3, 2))
        assert torch.equal(before, rollout.observations[task, -1, t])
        assert torch.equal(action, rollout.actions[task, -1, t])
        assert torch.equal(after, rollout.final_observations[task, -1])
        assert ends.tolist() == [rollout.terminated[task, -1].item(), True]


def test_what_begins_the_episodes_of_one_environment_follows_from_its_key():
    """Drawn after the action noise."""
    rng = np.random.default_rng(np.random.SeedSequence(list(KEY)))
    rng.standard_normal((EPISODES, HORIZON, 2), dtype=np.float32)
    beginnings = rng.standard_normal((1, EPISODES, 1), dtype=np.float32)
    assert one_environment().carry["z"].tolist() == beginnings[:, -1].tolist()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_joined_episodes_are_all_episodes_and_the_last_carry(count):
    rollout = one_environment()
    parts = [
        replace(rollout, rewards=rollout.rewards + n, diverged_episodes=n, carry={"n": n})
        for n in range(1, count + 1)
    ]
    joined = join_episodes(parts)
    assert torch.equal(joined.rewards, torch.cat([part.rewards for part in parts], 1))
    assert joined.diverged_episodes == sum(range(count + 1))
    assert joined.carry == {"n": count}


def test_episodes_end_at_different_times_here():
    lengths = sampler().collect(state(), TASKS, KEY).valid.sum(-1)
    assert len(lengths.unique()) > 1


def test_a_trial_begins_anew_or_goes_on():
    first = sampler().collect(state(), TASKS, KEY)
    anew = sampler().collect(state(), TASKS, (3, 1, 5))
    onwards = sampler().collect(state()._replace(carry=first.carry), TASKS, (3, 1, 5))
    total = first.carry["steps"] + onwards.valid.sum((1, 2)).unsqueeze(-1)
    assert torch.equal(onwards.carry["steps"], total)
    assert torch.equal(anew.carry["steps"], anew.valid.sum((1, 2)).unsqueeze(-1).float())


def test_trials_of_a_task_run_side_by_side():
    """Their first episodes come first; every trial counts its own steps alone."""
    policy, trials = Counting(), 2
    envs = ForeignVectorEnv(Echo, 2 * lanes_of(policy, EPISODES, trials), "sync")
    settings = {"episodes_per_task": EPISODES, "horizon": HORIZON, "device": torch.device("cpu")}
    both = RolloutSampler(envs, policy, trials=trials, **settings).collect(state(), TASKS, KEY)
    assert both.rewards.shape == (2, EPISODES * trials, HORIZON)
    lengths = both.valid.sum(-1).view(2, EPISODES, trials)
    assert torch.equal(both.carry["steps"], lengths.sum(1).float())
    before = (lengths.cumsum(1) - lengths).flatten(1).float()
    assert torch.equal(both.behaviour.mean[:, :, 0, 0], before)
    first = trial_starts(both)
    assert torch.equal(first.rewards, both.rewards[:, :trials])
    assert torch.equal(first.behaviour.mean, both.behaviour.mean[:, :trials])


def test_a_trials_carry_does_not_depend_on_its_neighbours():
    both, second = sampler().collect(state(), TASKS, KEY), {"goal": TASKS["goal"][1:]}
    alone = sampler(1, first_task=1).collect(state(1), second, KEY)
    for name, value in alone.carry.items():
        assert torch.equal(value[0], both.carry[name][1])
    assert torch.equal(alone.rewards[0], both.rewards[1])
    assert not torch.equal(both.carry["z"][0], both.carry["z"][1])


def remembering_learner(seen):
    """Adapts by its carry alone."""

    def adapt(state, episodes):
        seen.append(state)
        return state._replace(adaptations=state.adaptations + 1)

    return MetaLearner(
        Counting(),
        0,
        Counting().initial_parameters,
        LearnerState,
        adapt,
        lambda state, batch: Update(state, {"returns": batch.query.returns.mean().item()}),
    )


def test_a_walk_carries_on_what_was_learned():
    walk = Walk(sampler(), remembering_learner([]), AdvantageConfig(), TaskMap(None, 1))
    parameters = Counting().initial_parameters(torch.Generator())
    collected = collect_meta_batch(walk, parameters, TASKS, KEY)
    assert collected.batch.support == ()
    assert collected.returns.shape == (1, 2)
    assert walk.learner.update(LearnerState(parameters), collected.batch).metrics["returns"] == pytest.approx(
        collected.returns.mean().item()
    )
    twice = replace(walk, learner=replace(walk.learner, inner_steps=2))
    metrics = collect_meta_batch(twice, parameters, TASKS, KEY).metrics
    assert not [column for column in metrics if column.startswith("inner/")]
    found = evaluate_adaptation(walk, parameters, TASKS, steps=2, key=KEY, keep_rollouts=True)
    rounds = [visit.rollout for visit, _ in walk.walk(walk.start(parameters, 2), TASKS, KEY, 2)]
    for measured, whole in zip(found.rollouts, rounds, strict=False):
        assert torch.equal(measured.rewards, whole.rewards[:, :1])
    steps = sum(rollout.valid.sum((1, 2)) for rollout in rounds).unsqueeze(-1)
    assert torch.equal(found.adapted.carry["steps"], steps.float())
    assert found.adapted.adaptations == 2


def test_next_observations_are_those_that_came():
    rollout = one_environment()
    following = next_observations(rollout)
    inside = rollout.valid[..., 1:]
    assert torch.equal(following[..., :-1, :][inside], rollout.observations[..., 1:, :][inside])
    for episode, length in enumerate(rollout.valid[0].sum(-1).tolist()):
        assert torch.equal(following[0, episode, length - 1], rollout.final_observations[0, episode])
