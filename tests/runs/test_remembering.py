"""Policies with memory in use: adapting is playing episodes in a row, and the carry is what was learned."""

import numpy as np
import pytest
import torch
import yaml
from stable_baselines3.common.evaluation import evaluate_policy

import metarl
from metarl.experiment.build import TRIALS, build_experiment
from metarl.experiment.environments import make_env
from metarl.math.parameters import repeat
from metarl.meta_learners.learner import named_tensors
from metarl.policies.policy import TaskState
from metarl.rollouts.random_keys import EVALUATION
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.films import mean_action
from metarl.runs.run_config import load_run_config

TASK = {"goal": [0.2, -0.1]}
OF_PPO = {"minibatches": 1, "epochs": 1}, {"hidden_size": 6, "head_sizes": [5], "initial_std": 0.5}
LEARNERS = {
    "gru": ("rl2", *OF_PPO),
    "belief": ("varibad", *OF_PPO),
    "squashed_gru": ("recurrent_sac", {"replay_ratio": 0.1}, {"hidden_size": 6, "hidden_sizes": [5]}),
}
"""By their policies; with the keys of both."""
each = pytest.mark.parametrize("name", LEARNERS)


@pytest.fixture
def recurrent(small_config_file):
    """(policy's keys) -> the small config with its learner."""

    def write(name="gru", **policy):
        learner, settings, own = LEARNERS[name]
        settings, keys = {"name": learner, **settings}, {"name": name, **own, **policy}
        values = yaml.safe_load(small_config_file.read_text())
        small_config_file.write_text(yaml.safe_dump({**values, "meta_learner": settings, "policy": keys}))

    return write


@pytest.fixture
def trained(recurrent, train_small, tmp_path):
    """(policy's keys) -> a loaded run of an iteration, and its environment."""

    def run(**policy):
        recurrent(**policy)
        train_small("--training.iterations", "1")
        return metarl.load(tmp_path / "run"), make_env(load_run_config(tmp_path / "run"))

    return run


def played(loaded, env, episodes, state=None):
    """Episodes in a row by mean actions."""
    begun = state or TaskState(repeat(loaded.parameters, 1))
    return loaded.episodes(env, episodes).collect(begun, TASK, (5,), deterministic=True)


@pytest.mark.parametrize(
    "policy",
    [
        {"head": "concat"},
        {"head": "hypernetwork", "latent_size": 3},
        {"name": "belief"},
        {"name": "squashed_gru"},
    ],
)
def test_predict_does_what_the_sampler_did(trained, policy):
    """Over the end of an episode, whose reward, end and last observation are seen in the next one."""
    loaded, env = trained(**policy)
    rollout = played(loaded, env, 3)
    state, reward, final = None, None, None
    for episode in range(3):
        for t in range(int(rollout.valid[0, episode].sum())):
            action, state = loaded.predict(
                rollout.observations[0, episode, t].numpy(),
                state,
                np.array([t == 0]),
                deterministic=True,
                reward=reward,
                final_observation=final if t == 0 else None,
            )
            expected = rollout.actions[0, episode, t].clamp(-1, 1)
            np.testing.assert_allclose(action, expected, atol=1e-6)
            reward = rollout.rewards[0, episode, t].item()
        final = rollout.final_observations[0, episode].numpy()


@each
def test_an_adapted_policy_goes_on_where_its_trial_ended(trained, tmp_path, name):
    loaded, env = trained(name=name)
    adapted = loaded.adapt(env, TASK, episodes=3, evaluation_episodes=1, seed=2)
    assert len(adapted.returns) == 4
    assert all(torch.equal(adapted.parameters[name], value) for name, value in loaded.parameters.items())
    adapted.save(tmp_path / "goal.safetensors")
    again = metarl.load(tmp_path / "goal.safetensors")
    assert all(torch.equal(again.carry[name], value) for name, value in adapted.carry.items())
    after = played(loaded, env, 1, TaskState(repeat(loaded.parameters, 1), adapted.carry))
    first = after.observations[0, 0, 0].numpy()
    action, _ = again.predict(first, deterministic=True)
    np.testing.assert_allclose(action, after.actions[0, 0, 0].clamp(-1, 1), atol=1e-6)
    assert not np.allclose(action, loaded.predict(first, deterministic=True)[0], atol=1e-5)


@each
def test_rows_of_a_batch_are_trials_of_their_own(trained, name):
    loaded, _ = trained(name=name)
    rng = np.random.default_rng(0)
    seen, rewards, ends = (
        rng.normal(size=(3, 2, 2)),
        rng.normal(size=(3, 2)),
        np.array([[1, 1], [0, 1], [0, 0]]),
    )
    finals = np.where(ends[..., None], rng.normal(size=(3, 2, 2)), np.nan)
    alone = [None, None]
    state = None
    for t in range(3):
        paid = rewards[t] if t else None
        told = {"deterministic": True, "reward": paid, "final_observation": finals[t]}
        actions, state = loaded.predict(seen[t], state, ends[t], **told)
        for row in range(2):
            told = {"deterministic": True, "reward": rewards[t, row], "final_observation": finals[t, row]}
            one, alone[row] = loaded.predict(seen[t, row], alone[row], ends[t, row], **told)
            np.testing.assert_allclose(actions[row], one, atol=1e-6)


def test_what_is_not_told_or_not_kept_is_refused_in_a_line(trained):
    loaded, _ = trained()
    _, state = loaded.predict([0.0, 0.0])
    with pytest.raises(ValueError, match=r"^expected reward, what the last action was paid, which GruPolicy"):
        loaded.predict([0.0, 0.0], state)
    with pytest.raises(ValueError, match="expected a policy without memory, got GruPolicy"):
        loaded.to_torch()


@pytest.mark.parametrize("name", ["rl2", "varibad", "pearl", "recurrent_sac"])
def test_an_untrained_policy_is_evaluated(name):
    config = metarl.read_config(f"point_navigation/{name}", ["--environment.horizon", "5"])
    experiment = build_experiment(config)
    parameters = experiment.learner.initial_parameters(torch.Generator().manual_seed(0))
    tasks = experiment.held_out_tasks(2, 0)
    found = experiment.evaluate(parameters, tasks, episodes=1, steps=3, seed=0, trials=2)
    assert found.curve.returns.shape == (4, 2)
    assert np.isfinite(found.curve.returns).all()
    assert all(torch.isfinite(value).all() for value in found.adapted.carry.values())


@each
def test_stable_baselines3_takes_no_policy_with_memory(trained, name):
    loaded, env = trained(name=name)
    with pytest.raises(
        ValueError, match=r"^expected a policy without memory, got \w+Policy, whose .*predict$"
    ):
        loaded.to_sb3("PPO", env)


def test_where_an_episode_led_is_not_told_or_not_the_observations(trained):
    loaded, _ = trained(name="belief")
    _, state = loaded.predict([0.0, 0.0])
    again = {"state": state, "episode_start": np.array([True]), "reward": -1.0}
    with pytest.raises(ValueError, match=r"^expected final_observation, what an .*BeliefPolicy"):
        loaded.predict([0.0, 0.0], **again)
    with pytest.raises(ValueError, match=r"^expected final_observation \[2\], .* got \[1, 2\]"):
        loaded.predict([0.0, 0.0], **again, final_observation=[[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"^expected finite actions, got others: a reward, an obs"):
        loaded.predict([0.0, 0.0], **{**again, "reward": np.nan}, final_observation=[0.0, 0.0])


@each
def test_a_resumed_run_is_the_uninterrupted_run(recurrent, train_small, tmp_path, name):
    recurrent(name=name)
    folders = [("--run_dir", str(tmp_path / folder)) for folder in ("whole", "halves")]
    train_small(*folders[0], "--training.iterations", "4")
    train_small(*folders[1], "--training.iterations", "2")
    train_small(*folders[1], "--training.iterations", "4", resume=True)
    whole, halves = (load_checkpoint(tmp_path / folder).state for folder in ("whole", "halves"))
    one, other = ({**of.parameters, **named_tensors(of.optimiser)} for of in (whole, halves))
    assert list(one) == list(other)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.filterwarnings("ignore:.*not wrapped with a ``Monitor``:UserWarning")
def test_stable_baselines3_plays_a_policy_that_reads_no_rewards(trained):
    loaded, env = trained(reads_rewards=False)
    mean, deviation = evaluate_policy(loaded, env, n_eval_episodes=2)
    assert np.isfinite([mean, deviation]).all()


@each
def test_a_film_tells_the_policy_what_it_was_paid(trained, name):
    loaded, _ = trained(name=name)
    act = mean_action(loaded)
    act(np.zeros(2), None)
    _, state = loaded.predict(np.zeros(2), deterministic=True)
    expected, _ = loaded.predict(np.ones(2), state, deterministic=True, reward=-3.0)
    np.testing.assert_array_equal(act(np.ones(2), -3.0), expected)
    assert not np.array_equal(loaded.predict(np.ones(2), state, deterministic=True, reward=3.0)[0], expected)


@each
def test_a_point_of_an_evaluation_is_the_next_episode_of_four_trials(trained, name):
    """Points lie `episodes` apart; the episodes between them are played, and not measured."""
    loaded, _ = trained(name=name)
    curve = metarl.evaluate(loaded, tasks=2, episodes=2, steps=1, seed=4).curve
    experiment = loaded.experiment
    sampler, tasks = experiment.sampler(2, 2, TRIALS), experiment.held_out_tasks(2, 4)
    first = sampler.collect(TaskState(repeat(loaded.parameters, 2)), tasks, (4, 0, EVALUATION, 0))
    state = TaskState(repeat(loaded.parameters, 2), first.carry)
    second = sampler.collect(state, tasks, (4, 0, EVALUATION, 1))
    expected = torch.stack([rollout.returns[:, :TRIALS].mean(1) for rollout in (first, second)])
    np.testing.assert_allclose(curve.returns, expected.numpy(), rtol=1e-6)
    assert (curve.points.at, curve.points.axis, curve.points.last_text) == (
        [0, 2],
        "episodes before",
        "2 episodes",
    )


def test_advantages_that_a_learner_does_not_read_are_told(recurrent, small_config):
    recurrent()
    build_experiment(small_config())
    with pytest.raises(metarl.ConfigError, match=r"sampling.advantages.discount: expected none with \S+ rl2"):
        small_config("--sampling.advantages.discount", "0.9")


def test_a_learner_that_reads_no_advantages_gets_none(recurrent, train_small):
    recurrent()
    batches = []
    train_small("--training.iterations", "1", observers=[Batches(batches)])
    assert batches[0].query.advantages.isnan().all()


class Batches(metarl.Observer):
    def __init__(self, kept):
        self._kept = kept

    def on_iteration(self, iteration):
        assert "baseline/explained_variance" not in iteration.metrics
        self._kept.append(iteration.batch)
