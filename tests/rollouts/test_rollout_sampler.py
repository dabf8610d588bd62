import gymnasium
import numpy as np
import pytest
import torch

from metarl.errors import NonFiniteError
from metarl.experiment.build import build_experiment
from metarl.experiment.environments import make_env
from metarl.math.parameters import repeat, select
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import TaskState
from metarl.rollouts.episodes import EpisodeSampler
from metarl.rollouts.sampler import RolloutSampler
from tests.support.tiny_envs import Echo

KEY = (3, 0, 2, 0)
FOREIGN = ("--environment.id", "tests/Drift-v0", "--environment.options", "{}")


def experiment_and_parameters(config, tasks=3):
    experiment = build_experiment(config)
    generator = torch.Generator().manual_seed(0)
    per_task = [experiment.policy.initial_parameters(generator) for _ in range(tasks)]
    return experiment, {name: torch.stack([p[name] for p in per_task]) for name in per_task[0]}


@pytest.mark.parametrize("vectorization", ["native", "sync"])
def test_equals_a_slow_loop_over_single_environments(small_config, vectorization):
    """Each task with its own policy, noise and start states; finished episodes count no more."""
    foreign = FOREIGN if vectorization == "sync" else ()
    config = small_config(*foreign, "--environment.vectorization", vectorization)
    experiment, parameters = experiment_and_parameters(config)
    tasks = experiment.held_out_tasks(3, seed=0)
    rollout = experiment.sampler(3, 4).collect(TaskState(parameters), tasks, KEY)
    env = make_env(config)
    lengths = set()
    for task in range(3):
        sequence = np.random.SeedSequence([*KEY, task, 1])
        shape = (8, 4, parameters["log_std"].shape[-1])
        noise = np.random.default_rng(sequence).standard_normal(shape, dtype=np.float32)
        seeds = np.random.SeedSequence([*KEY, task, 0]).generate_state(4)
        for episode in range(4):
            env.unwrapped.set_task({name: values[task] for name, values in tasks.items()})
            observation, _ = env.reset(seed=int(seeds[episode]))
            for t in range(8):
                torch.testing.assert_close(
                    rollout.observations[task, episode, t].double(),
                    torch.from_numpy(observation),
                    rtol=1e-5,
                    atol=1e-6,
                )
                mean, log_std = experiment.policy(
                    select(parameters, task), torch.from_numpy(observation).float()
                )
                action = mean + log_std.exp() * torch.from_numpy(noise[t, episode])
                torch.testing.assert_close(rollout.actions[task, episode, t], action, rtol=1e-4, atol=1e-5)
                clipped = np.clip(action.numpy(), env.action_space.low, env.action_space.high)
                observation, reward, terminated, truncated, _ = env.step(clipped)
                assert rollout.rewards[task, episode, t].item() == pytest.approx(reward, rel=1e-4, abs=1e-5)
                assert rollout.valid[task, episode, t]
                if terminated or truncated:
                    break
            lengths.add(t + 1)
            assert not rollout.valid[task, episode, t + 1 :].any()
            assert rollout.terminated[task, episode] == terminated
            assert rollout.truncated[task, episode] == (not terminated)
    if vectorization == "sync":
        assert len(lengths) > 1, "expected some episodes to end early"


def test_behaviour_describes_the_actions(small_config):
    experiment, parameters = experiment_and_parameters(small_config())
    rollout = experiment.sampler(3, 4).collect(TaskState(parameters), experiment.held_out_tasks(3, 0), KEY)
    torch.testing.assert_close(rollout.behaviour_log_prob, rollout.behaviour.log_prob(rollout.actions))
    spread = (rollout.actions - rollout.behaviour.mean) / rollout.behaviour.log_std.exp()
    assert 0.7 < spread.std() < 1.3


def test_a_std_that_no_state_changes_is_kept_once_for_all_episodes(small_config):
    experiment, parameters = experiment_and_parameters(small_config())
    rollout = experiment.sampler(3, 4).collect(TaskState(parameters), experiment.held_out_tasks(3, 0), KEY)
    mean, log_std = rollout.behaviour.mean, rollout.behaviour.log_std
    assert log_std.shape == mean.shape
    assert log_std.untyped_storage().nbytes() * 4 == mean.untyped_storage().nbytes()
    assert torch.equal(log_std[:, 1], log_std[:, 0])


def test_same_key_same_rollout_whatever_the_simulation_threads(small_config):
    cheetah = ("--environment.id", "metarl/HalfCheetahVel-v0")
    rollouts = []
    for threads in ("1", "2", "3"):
        config = small_config(*cheetah, "--sampling.num_threads", threads)
        experiment, parameters = experiment_and_parameters(config)
        sampler = experiment.sampler(3, 4)
        tasks = experiment.held_out_tasks(3, 0)
        sampler.collect(TaskState(parameters), tasks, (0, 0, 0, 0))
        rollouts.append(sampler.collect(TaskState(parameters), tasks, KEY))
    for other in rollouts[1:]:
        assert torch.equal(other.observations, rollouts[0].observations)
        assert torch.equal(other.rewards, rollouts[0].rewards)


def test_a_tasks_episodes_do_not_depend_on_the_other_tasks(small_config):
    experiment, parameters = experiment_and_parameters(small_config())
    tasks = experiment.held_out_tasks(3, 0)
    all_three = experiment.sampler(3, 4).collect(TaskState(parameters), tasks, KEY)
    first = {name: value[:1] for name, value in parameters.items()}
    alone = experiment.sampler(1, 4).collect(TaskState(first), {n: v[:1] for n, v in tasks.items()}, KEY)
    torch.testing.assert_close(alone.rewards[0], all_three.rewards[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fault", ["reward", "observation"])
def test_non_finite_values_name_the_task(small_config, fault):
    config = small_config(*FOREIGN[:3], f'{{"fault": "{fault}"}}', "--environment.vectorization", "sync")
    experiment, parameters = experiment_and_parameters(config)
    with pytest.raises(NonFiniteError, match=fault) as raised:
        experiment.sampler(3, 4).collect(TaskState(parameters), experiment.held_out_tasks(3, 0), KEY)
    assert raised.value.task_index == 0


def test_non_finite_actions_name_the_task(small_config):
    experiment, parameters = experiment_and_parameters(small_config())
    parameters["mean.bias"][1] = float("nan")
    with pytest.raises(NonFiniteError, match="action") as raised:
        experiment.sampler(3, 4).collect(TaskState(parameters), experiment.held_out_tasks(3, 0), KEY)
    assert raised.value.task_index == 1


def test_torch_keeps_its_threads(small_config):
    experiment, parameters = experiment_and_parameters(small_config())
    before = torch.get_num_threads()
    experiment.sampler(3, 4).collect(TaskState(parameters), experiment.held_out_tasks(3, 0), KEY)
    assert torch.get_num_threads() == before


class Scripted:
    """Two environments: the first is truncated after one step, the second ends after two, diverged."""

    num_envs = 2

    def set_tasks(self, tasks):
        pass

    def reset(self, *, seed):
        self.elapsed = 0
        return np.zeros((2, 1)), {}

    def step(self, actions):
        self.elapsed += 1
        assert self.elapsed <= 2, "stepped after every episode's end"
        over = np.array([True, self.elapsed == 2])
        info = {"diverged": np.array([False, self.elapsed == 2])}
        second = np.array([False, True])
        return np.full((2, 1), float(self.elapsed)), np.full(2, 2.0), over & second, over & ~second, info


def test_diverged_episodes_are_counted_and_sampling_ends_with_the_last_episode():
    policy = GaussianMLP(observation_size=1, action_size=1, hidden_sizes=())
    sampler = RolloutSampler(Scripted(), policy, episodes_per_task=1, horizon=5, device=torch.device("cpu"))
    parameters = policy.initial_parameters(torch.Generator().manual_seed(0))
    rollout = sampler.collect(TaskState(repeat(parameters, 2)), {"goal": np.zeros(2)}, KEY)
    assert rollout.diverged_episodes == 1
    assert rollout.valid.sum(-1).tolist() == [[1], [2]]
    assert rollout.terminated.tolist() == [[False], [True]]
    assert rollout.truncated.tolist() == [[True], [False]]
    assert rollout.returns.tolist() == [[2.0], [4.0]]
    assert rollout.final_observations.tolist() == [[[2.0]], [[2.0]]]


@pytest.mark.parametrize("fault", ["reward", "observation"])
def test_a_single_environments_non_finite_values_are_told(small_config, fault):
    config = small_config(*FOREIGN[:3], f'{{"fault": "{fault}"}}', "--environment.vectorization", "sync")
    experiment, parameters = experiment_and_parameters(config)
    sampler = EpisodeSampler(make_env(config), experiment.policy, episodes=2, horizon=8)
    state = TaskState({name: value[:1] for name, value in parameters.items()})
    with pytest.raises(NonFiniteError, match=f"{fault}.*in episode 0, step 2") as raised:
        sampler.collect(state, {"velocity": 0.5}, (1,))
    assert raised.value.task_index == 0


def test_episodes_of_a_single_environment_have_the_same_shapes_and_meaning(small_config):
    config = small_config(*FOREIGN, "--environment.vectorization", "sync")
    experiment, parameters = experiment_and_parameters(config)
    sampler = EpisodeSampler(make_env(config), experiment.policy, episodes=5, horizon=8)
    state = TaskState({name: value[:1] for name, value in parameters.items()})
    rollout = sampler.collect(state, {"velocity": 0.5}, (1,))
    assert rollout.rewards.shape == (1, 5, 8)
    moved = (rollout.actions.clamp(-1, 1)[..., 0] - 0.5).abs()
    torch.testing.assert_close(rollout.rewards, torch.where(rollout.valid, -moved, 0.0))
    assert (rollout.terminated | (rollout.valid.sum(-1) == 8)).all()
    positions = torch.where(rollout.terminated, rollout.final_observations[..., 0].abs(), 3.1)
    assert (positions > 3).all()


class Partly:
    """Four environments of two numbers; in the second step those of the second task have one that is NaN."""

    num_envs = 4

    def set_tasks(self, tasks):
        pass

    def reset(self, *, seed):
        self.elapsed = 0
        return np.zeros((4, 2)), {}

    def step(self, actions):
        self.elapsed += 1
        observation, over = np.zeros((4, 2)), np.zeros(4, dtype=bool)
        if self.elapsed == 2:
            observation[2:, 1] = np.nan
        return observation, np.zeros(4), over, over, {}


def test_one_number_that_is_not_finite_is_enough_and_its_first_episode_named():
    policy = GaussianMLP(observation_size=2, action_size=1, hidden_sizes=())
    sampler = RolloutSampler(Partly(), policy, episodes_per_task=2, horizon=5, device=torch.device("cpu"))
    parameters = policy.initial_parameters(torch.Generator().manual_seed(0))
    with pytest.raises(NonFiniteError, match=r"observation \[0\.0, nan\] in episode 0") as raised:
        sampler.collect(TaskState(repeat(parameters, 2)), {"goal": np.zeros(2)}, KEY)
    assert raised.value.task_index == 1


class Choosing(gymnasium.Env):
    """`Echo`, but for how it takes its task: by the options of `reset`."""

    reads_task_option = True

    def __init__(self):
        self._echo = Echo()
        self.observation_space, self.action_space = self._echo.observation_space, self._echo.action_space

    def reset(self, *, seed=None, options=None):
        self._echo.set_task(options["task"])
        return self._echo.reset(seed=seed)

    def step(self, action):
        return self._echo.step(action)


class Faulty(Echo):
    """One number of every second observation is NaN."""

    def step(self, action):
        observation, *others = super().step(action)
        observation[1] = np.nan if self._elapsed == 2 else observation[1]
        return observation, *others


def echo_sampler(env, horizon=5):
    policy = GaussianMLP(observation_size=3, action_size=2, hidden_sizes=(4,))
    parameters = policy.initial_parameters(torch.Generator().manual_seed(0))
    return EpisodeSampler(env, policy, episodes=3, horizon=horizon), policy, parameters


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("env", [Echo, Choosing])
def test_episodes_of_a_single_environment_equal_a_slow_loop(env, deterministic):
    """Seeds, noise and the task reach it, by whichever hook it has."""
    sampler, policy, parameters = echo_sampler(env())
    state, echo = TaskState(repeat(parameters, 1)), Echo()
    options = {"deterministic": True} if deterministic else {}
    rollout = sampler.collect(state, {"goal": -0.7}, KEY, **options)
    sequence, lengths = np.random.SeedSequence(list(KEY)), []
    drawn = np.random.default_rng(sequence).standard_normal((3, 5, 2), dtype=np.float32)
    noise = torch.from_numpy(drawn) * (not deterministic)
    echo.set_task({"goal": -0.7})
    for episode, seed in enumerate(sequence.generate_state(3)):
        observation, _ = echo.reset(seed=int(seed))
        for t in range(5):
            seen = torch.from_numpy(observation).float()
            torch.testing.assert_close(rollout.observations[0, episode, t], seen)
            mean, log_std = policy(parameters, seen)
            action = mean + log_std.exp() * noise[episode, t]
            torch.testing.assert_close(rollout.actions[0, episode, t], action, rtol=1e-5, atol=1e-6)
            observation, reward, over, _, _ = echo.step(rollout.actions[0, episode, t].numpy())
            assert rollout.rewards[0, episode, t].item() == pytest.approx(reward)
            if over:
                break
        lengths.append(t + 1)
        assert rollout.terminated[0, episode] == over == ~rollout.truncated[0, episode]
    assert rollout.valid.sum(-1).tolist() == [lengths]


def test_one_number_of_a_single_environment_that_is_not_finite_is_enough():
    sampler, _, parameters = echo_sampler(Faulty())
    with pytest.raises(NonFiniteError, match=r"observation .*nan.* in episode 0, step 1 in task {'goal': 2}"):
        sampler.collect(TaskState(repeat(parameters, 1)), {"goal": 2}, KEY)


def test_episodes_may_be_one_step_long():
    sampler, _, parameters = echo_sampler(Echo(), horizon=1)
    rollout = sampler.collect(TaskState(repeat(parameters, 1)), {"goal": 2.0}, KEY)
    assert rollout.valid.tolist() == [[[True]] * 3]
    assert rollout.truncated.tolist() == [[True] * 3]
