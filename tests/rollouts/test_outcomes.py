"""Environments that return what is no outcome: each is told in one line, and nothing is made to fit."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from metarl_envs.foreign.foreign_vector_env import ForeignEnvError

from metarl.errors import NonFiniteError, TrainingError
from metarl.experiment.build import build_experiment
from metarl.experiment.environments import make_env, make_envs
from metarl.math.parameters import repeat
from metarl.policies.policy import TaskState
from metarl.rollouts.episodes import EpisodeSampler
from metarl.rollouts.sampler import RolloutSampler
from metarl.runs.checkpoint import load_checkpoint
from tests.support.tiny_envs import Drift

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
FOREIGN = ("--environment.id", "tests/Drift-v0", "--environment.options", "{}")
FAULTS = [
    (0, np.zeros((3, 1)), r"expected an observation of shape \[1\], .*, got \[3, 1\]"),
    (0, np.float64(0.5), r"expected an observation of shape \[1\], .*, got \[\]"),
    (0, np.array([1j]), r"expected an observation of real numbers, got array\(\[0\.\+1\.j\]\)"),
    (0, ["0.5"], r"expected an observation of real numbers, got \['0\.5'\]"),
    (0, [[0.5], [0.5, 0.5]], "expected an observation of real numbers, got "),
    (1, "1.5", r"expected a reward that is one real number, got '1\.5'"),
    (1, 1j, "expected a reward that is one real number, got 1j"),
    (1, np.zeros(1), "expected a reward that is one real number, got array"),
    (1, None, "expected a reward that is one real number, got None"),
    (2, "no", "expected terminated to be a boolean, got 'no'"),
    (2, 0.0, r"expected terminated to be a boolean, got 0\.0"),
    (3, np.array([True]), "expected truncated to be a boolean, got array"),
]
each_fault = pytest.mark.parametrize(("place", "wrong", "message"), FAULTS)


def break_step(monkeypatch, place, wrong):
    """Lets every second step of an episode return something else in one place."""
    original = Drift.step

    def step(self, action):
        outcome = list(original(self, action))
        if self._elapsed == 2:
            outcome[place] = wrong
        return tuple(outcome)

    monkeypatch.setattr(Drift, "step", step)


def collect(config, task=None, env=None):
    experiment = build_experiment(config)
    parameters = experiment.policy.initial_parameters(torch.Generator())
    sampler = EpisodeSampler(env or make_env(config), experiment.policy, episodes=2, horizon=8)
    return sampler.collect(TaskState(repeat(parameters, 1)), task, (0,))


def sample(config, envs=None):
    """A rollout of three tasks of four episodes."""
    experiment = build_experiment(config)
    parameters = experiment.policy.initial_parameters(torch.Generator())
    tasks = experiment.held_out_tasks(3, 0)
    envs = envs or make_envs(config, 12)
    sampler = RolloutSampler(
        envs, experiment.policy, episodes_per_task=4, horizon=8, device=experiment.device
    )
    try:
        return sampler.collect(TaskState(repeat(parameters, 3)), tasks, (0,))
    finally:
        sampler.close()


@each_fault
def test_of_a_single_environment(small_config, monkeypatch, place, wrong, message):
    break_step(monkeypatch, place, wrong)
    with pytest.raises(ValueError, match=rf"^{message}.* in episode 0, step 1$"):
        collect(small_config(*FOREIGN, "--environment.vectorization", "sync"))


@each_fault
def test_of_copies_in_a_vector_environment(small_config, monkeypatch, place, wrong, message):
    break_step(monkeypatch, place, wrong)
    named = r" in episode 0 of the batch, step 1 with task {'velocity': -?0\.\d+}$"
    with pytest.raises(ForeignEnvError, match=f"^{message}.*{named}"):
        sample(small_config(*FOREIGN, "--environment.vectorization", "sync"))


def test_of_copies_in_processes_ends_training_with_the_last_checkpoint(train_small, tmp_path, monkeypatch):
    foreign = (*FOREIGN, "--environment.vectorization", "async", "--sampling.num_threads", "2")
    train_small(*foreign, "--training.iterations", "1")
    break_step(monkeypatch, 1, "1.5")
    with pytest.raises(TrainingError, match=r"iteration 1: expected a reward .*; go on from .*--resume true"):
        train_small(*foreign, resume=True)
    assert load_checkpoint(tmp_path / "run").iteration == 1


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((np.zeros(2), {}), r"expected an observation of shape \[1\], .*, got \[2\] in episode 0"),
        (np.zeros(2), r"expected reset to return \(observation, info\), got array.* in episode 0"),
    ],
)
def test_of_a_reset(small_config, monkeypatch, returned, message):
    monkeypatch.setattr(Drift, "reset", lambda self, seed=None, options=None: returned)
    config = small_config(*FOREIGN, "--environment.vectorization", "sync")
    with pytest.raises(ValueError, match=f"^{message}$"):
        collect(config)
    with pytest.raises(ForeignEnvError, match=f"^{message} of the batch with task"):
        sample(config)


def test_of_a_step_with_four_values(small_config, monkeypatch):
    monkeypatch.setattr(Drift, "step", lambda self, action: (np.zeros(1), 0.0, False, {}))
    with pytest.raises(ValueError, match=r"expected step to return \(observation, reward, terminated, trunc"):
        collect(small_config(*FOREIGN, "--environment.vectorization", "sync"), env=Drift())


def test_fractions_are_not_cut_to_an_integer_space(small_config, monkeypatch):
    original = Drift.__init__

    def integers(self):
        original(self)
        self.observation_space = Box(0, 9, (1,), np.uint8)

    monkeypatch.setattr(Drift, "__init__", integers)
    with pytest.raises(
        ForeignEnvError, match=r"expected an observation of uint8, .* got float64 in episode 0"
    ):
        sample(small_config(*FOREIGN, "--environment.vectorization", "sync"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_reset_that_is_not_finite_is_told_as_such(train_small, small_config, monkeypatch, value):
    """The policy's step sizes have no part in it."""
    original = Drift.reset

    def reset(self, *, seed=None, options=None):
        original(self, seed=seed)
        return np.array([value]), {}

    monkeypatch.setattr(Drift, "reset", reset)
    foreign = (*FOREIGN, "--environment.vectorization", "sync")
    told = rf"expected finite numbers, got observation from reset \[{value}\] in episode 0"
    with pytest.raises(TrainingError, match=rf'task {{"velocity": .*}}, iteration 0: {told}') as raised:
        train_small(*foreign)
    assert "step_size" not in str(raised.value)
    with pytest.raises(NonFiniteError, match=rf"{told} in task {{'velocity': 0\.5}}$"):
        collect(small_config(*foreign), {"velocity": np.float64(0.5)})
    with pytest.raises(NonFiniteError, match=rf"{told} in the environment's own task$"):
        collect(small_config(*foreign))


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (
            0,
            lambda x: x[:1],
            r"observations as an array of real numbers of shape \[12, 2\], got float64 of shape",
        ),
        (
            0,
            lambda x: x + 0j,
            r"observations as an array of real numbers .*, got complex128 of shape \[12, 2\]",
        ),
        (1, lambda x: x[:, None], r"rewards as an array of real numbers of shape \[12\], got .* \[12, 1\]"),
        (1, float, r"rewards .*, got float"),
        (2, lambda x: x.astype(float), r"terminated as an array of booleans of shape \[12\], got float64"),
        (3, lambda x: x[0], r"truncated as an array of booleans of shape \[12\], got bool"),
    ],
)
def test_of_a_vector_environment_of_ones_own(small_config, place, change, message):
    config = small_config()
    envs = make_envs(config, 12)
    original = envs.step

    def step(actions):
        outcome = list(original(actions))
        outcome[place] = change(outcome[place]) if change is not float else 0.0
        return tuple(outcome)

    envs.step = step
    with pytest.raises(ForeignEnvError, match=f"^expected {message}.* in step 0 of all episodes$"):
        sample(config, envs)
