import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

import metarl
from metarl.compute.task_map import select_task
from metarl.experiment.environments import make_env
from metarl.math.parameters import repeat, select
from metarl.objectives.policy_gradient import inner_loss
from metarl.policies.policy import TaskState
from metarl.rollouts.advantages import compute_advantages
from metarl.rollouts.episodes import EpisodeSampler
from metarl.runs.checkpoint import save_policy
from metarl.runs.run_config import config_digest, load_run_config

TASK = {"goal": [0.2, -0.1]}


@pytest.fixture
def run_dir(train_small, tmp_path):
    train_small("--training.iterations", "1")
    return tmp_path / "run"


@pytest.fixture
def env(run_dir):
    return make_env(load_run_config(run_dir))


def played(env, meta_policy, parameters, episodes, key):
    sampler = EpisodeSampler(env, meta_policy.experiment.policy, episodes=episodes, horizon=8)
    return sampler.collect(TaskState(repeat(parameters, 1)), TASK, key)


def test_adapting_is_the_inner_rule_on_the_environments_own_episodes(run_dir, env):
    meta_policy = metarl.load(run_dir)
    adapted = meta_policy.adapt(env, TASK, episodes=5, steps=1, seed=2, evaluation_episodes=0)
    experiment = meta_policy.experiment
    rollout = played(env, meta_policy, meta_policy.parameters, 5, (2, 0))
    batch, _ = compute_advantages(rollout, experiment.config.sampling.advantages)
    loss = inner_loss(experiment.policy, "vpg")
    theta = {name: value.clone().requires_grad_() for name, value in meta_policy.parameters.items()}
    gradients = torch.autograd.grad(loss(theta, select_task(batch, 0)), list(theta.values()))
    for (name, value), gradient in zip(theta.items(), gradients, strict=True):
        torch.testing.assert_close(adapted.parameters[name], (value - 0.1 * gradient).detach())
    assert adapted.returns == (pytest.approx(rollout.returns.mean().item()),)


def test_adapting_changes_no_meta_policy_and_can_be_repeated(run_dir, env):
    meta_policy = metarl.load(run_dir)
    before = {name: value.clone() for name, value in meta_policy.parameters.items()}
    first = meta_policy.adapt(env, TASK, episodes=3, steps=3)
    second = meta_policy.adapt(env, TASK, episodes=3, steps=3)
    assert all(torch.equal(meta_policy.parameters[name], value) for name, value in before.items())
    assert all(torch.equal(first.parameters[name], second.parameters[name]) for name in before)
    assert first.returns == second.returns


@pytest.mark.parametrize(("evaluation_episodes", "measured"), [(None, 3), (7, 7)])
def test_the_return_after_the_last_step_is_of_further_episodes(run_dir, env, evaluation_episodes, measured):
    meta_policy = metarl.load(run_dir)
    options = {"episodes": 3, "steps": 2, "seed": 2}
    adapted = meta_policy.adapt(env, TASK, **options, evaluation_episodes=evaluation_episodes)
    alone = meta_policy.adapt(env, TASK, **options, evaluation_episodes=0)
    after = played(env, meta_policy, alone.parameters, measured, (2, 2))
    assert adapted.returns == (*alone.returns, after.returns.mean().item())
    assert len(alone.returns) == 2
    assert all(torch.equal(alone.parameters[name], value) for name, value in adapted.parameters.items())


def test_predict_follows_stable_baselines3(run_dir, env):
    policy = metarl.load(run_dir)
    one, state = policy.predict(np.zeros(2), deterministic=True)
    many, _ = policy.predict(np.zeros((4, 2)), deterministic=True)
    assert one.shape == (2,)
    assert many.shape == (4, 2)
    assert state is None
    assert env.action_space.contains(one)
    mean, _ = policy.experiment.policy(policy.parameters, torch.zeros(2))
    np.testing.assert_allclose(one, mean.clamp(-1, 1), rtol=1e-6)
    policy.set_random_seed(5)
    drawn = policy.predict(np.zeros(2))[0]
    policy.set_random_seed(5)
    np.testing.assert_array_equal(policy.predict(np.zeros(2))[0], drawn)
    assert not np.array_equal(drawn, one)
    with pytest.raises(ValueError, match=r"expected observations \[2\]"):
        policy.predict(np.zeros(3))


@pytest.mark.filterwarnings("ignore:.*not wrapped with a ``Monitor``:UserWarning")
def test_evaluate_policy_takes_it_as_it_is(run_dir, env):
    adapted = metarl.load(run_dir).adapt(env, TASK, episodes=3)
    mean, deviation = evaluate_policy(adapted, env, n_eval_episodes=3)
    assert np.isfinite([mean, deviation]).all()


def test_a_saved_policy_loads_as_the_same(run_dir, env, tmp_path):
    adapted = metarl.load(run_dir).adapt(env, TASK, episodes=3)
    adapted.save(tmp_path / "adapted")
    loaded = metarl.load(tmp_path / "adapted")
    for name, value in adapted.parameters.items():
        assert torch.equal(loaded.parameters[name], value)


def test_what_does_not_fit_is_told(run_dir, env, tmp_path):
    meta_policy = metarl.load(run_dir)
    with pytest.raises(ValueError, match="expected episodes and steps of at least 1"):
        meta_policy.adapt(env, TASK, episodes=0)
    with pytest.raises(ValueError, match="evaluation_episodes of at least 0, or None, got -1"):
        meta_policy.adapt(env, TASK, evaluation_episodes=-1)
    with pytest.raises(ValueError, match="observation and action sizes"):
        meta_policy.adapt(gymnasium.make("metarl/HalfCheetahVel-v0"))
    with pytest.raises(ValueError, match="expected a value in"):
        meta_policy.adapt(env, {"goal": [2, 2]})
    with pytest.raises(ValueError, match=r"expected a task with keys \['goal'\], got \['nonsense'\]"):
        meta_policy.adapt(env, {"nonsense": 1})
    with pytest.raises(metarl.RunError, match="expected a run folder"):
        metarl.load(tmp_path / "nothing")


def test_parameters_of_another_policy_are_refused(run_dir):
    config = (run_dir / "config.yaml").read_text()
    parameters = metarl.load(run_dir).parameters
    (run_dir / "config.yaml").write_text(config.replace("- 8\n", "- 9\n", 1))
    save_policy(run_dir, parameters, config_digest(run_dir))
    with pytest.raises(metarl.RunError, match="not those of the policy"):
        metarl.load(run_dir)


def test_vectorised_and_single_adaptation_agree_in_kind(run_dir):
    """The evaluator's adapted parameters are those of its own rollout's inner step."""
    meta_policy = metarl.load(run_dir)
    experiment = meta_policy.experiment
    tasks = experiment.held_out_tasks(2, seed=0)
    found = experiment.evaluate(meta_policy.parameters, tasks, episodes=4, steps=1, seed=0)
    assert found.curve.returns.shape == (2, 2)
    moved = select(found.adapted.parameters, 0)["mean.bias"] - meta_policy.parameters["mean.bias"]
    assert moved.abs().max() > 0


def test_another_action_box_is_refused(run_dir):
    meta_policy = metarl.load(run_dir)
    with pytest.raises(ValueError, match="action_scale"):
        meta_policy.adapt(gymnasium.make("metarl/PointNavigation-v0", action_scale=3.0), TASK)


def test_a_policy_is_not_saved_over_a_training_run(run_dir):
    with pytest.raises(metarl.RunError, match="a folder of its own"):
        metarl.load(run_dir).save(run_dir)


class Plain(gymnasium.Env):
    """Two numbers, two actions, no task: its `reset` accepts options and reads none, as Gymnasium's do."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2), {}

    def step(self, action):
        return np.zeros(2), float(action[0]), False, False, {}


def test_a_task_for_an_environment_that_takes_none_is_refused(run_dir):
    meta_policy = metarl.load(run_dir)
    with pytest.raises(ValueError, match="expected an environment with set_task, reset_task or reset"):
        meta_policy.adapt(Plain(), {"nonsense": "at all"}, episodes=2)
    assert np.isfinite(meta_policy.adapt(Plain(), episodes=2).returns).all()


@pytest.mark.parametrize("task", [[1, 2], "goal"])
def test_a_task_that_is_no_mapping_is_told(train_small, tmp_path, task):
    train_small("--training.iterations", "1")
    meta_policy = metarl.load(tmp_path / "run")
    with pytest.raises(TypeError, match="task: expected Mapping or NoneType, got"):
        meta_policy.adapt(make_env(meta_policy.experiment.config), task, episodes=1)


def test_a_policy_says_what_it_is():
    policy = metarl.load("zoo/point_navigation")
    assert repr(policy).startswith("MetaPolicy(metarl/PointNavigation-v0, GaussianMLP(observation_size=2,")
    env = gymnasium.make("metarl/PointNavigation-v0", preset="maml")
    adapted = policy.adapt(env, task={"goal": [0.25, -0.5]}, episodes=1)
    assert repr(adapted).endswith(", task={'goal': [0.25, -0.5]})")
