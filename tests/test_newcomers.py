"""What a newcomer adds lives in files of their own: a policy with memory, a learner with replay, a figure."""

from typing import NamedTuple

import pytest
import torch
import yaml
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import metarl
from metarl.experiment.build import TRIALS, build_experiment
from metarl.math.parameters import repeat
from metarl.meta_learners.learner import named_tensors, with_tensors
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.policies.policy import TaskState
from metarl.rollouts.random_keys import EVALUATION
from metarl.runs.checkpoint import load_checkpoint
from tests.conftest import SMALL
from tests.user_package.recurrent import Elman, unrolled


@pytest.fixture
def recurrent(small_config_file):
    """The small config with a policy and a learner of a user's own."""
    module = "tests.user_package.recurrent"
    own = {"policy": {"name": f"{module}:Elman", "width": 5}, "meta_learner": {"name": f"{module}:by_trials"}}
    change(small_config_file, own)


def change(path, sections):
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}))


class Kept(metarl.Observer):
    def __init__(self):
        self.iterations = []

    def on_iteration(self, iteration):
        self.iterations.append(iteration)


def test_a_policy_with_memory_is_trained_evaluated_and_resumed(recurrent, train_small, tmp_path):
    kept = Kept()
    whole = train_small("--training.iterations", "3", observers=[kept])
    first = kept.iterations[0]
    policy, before = Elman(2, 2, 5), first.before.state.parameters
    replayed = unrolled(policy, before, first.batch.query)
    valid = first.batch.query.valid
    torch.testing.assert_close(replayed.mean[valid], first.batch.query.behaviour.mean[valid])
    assert not torch.equal(before["memory"], first.after.state.parameters["memory"])
    halves = ("--run_dir", str(tmp_path / "halves"))
    train_small(*halves, "--training.iterations", "1")
    resumed = train_small(*halves, "--training.iterations", "3", resume=True).state.parameters
    assert all(torch.equal(resumed[n], value) for n, value in whole.state.parameters.items())
    loaded = metarl.load(tmp_path / "run", trust=True)
    curve = metarl.evaluate(loaded, tasks=2, episodes=3, steps=2).curve
    assert curve.returns.shape == (3, 2)
    experiment = loaded.experiment
    tasks = experiment.held_out_tasks(2, 0)
    state = TaskState(repeat(loaded.parameters, 2))
    rollout = experiment.sampler(2, 3).collect(state, tasks, (1,))
    assert rollout.carry["h"].shape == (2, 1, 5)
    _, carried = loaded.predict([0.0, 0.0])
    with pytest.raises(ValueError, match="expected reward, what the last action was paid, which Elman remem"):
        loaded.predict([0.0, 0.0], carried)


def test_a_learner_with_replay_keeps_its_memory_over_a_resume(train_small, small_config_file, tmp_path):
    change(small_config_file, {"meta_learner": {"name": "tests.user_package.replay:replay", "capacity": 150}})
    train_small("--training.iterations", "3")
    halves = ("--run_dir", str(tmp_path / "halves"))
    train_small(*halves, "--training.iterations", "1")
    train_small(*halves, "--training.iterations", "3", resume=True)
    whole, resumed = (load_checkpoint(tmp_path / folder).state for folder in ("run", "halves"))
    memory = named_tensors(whole.optimiser)
    assert len(memory["rewards"]) == 150
    for found, expected in (
        (named_tensors(resumed.optimiser), memory),
        (resumed.parameters, whole.parameters),
    ):
        assert all(torch.equal(found[n], value) for n, value in expected.items())


class AdvantageFigure(metarl.Observer):
    """A picture of every iteration's returns by task."""

    def __init__(self, folder):
        self._writer = SummaryWriter(str(folder))

    def on_iteration(self, iteration):
        figure = Figure()
        figure.subplots().plot(iteration.returns.cpu())
        self._writer.add_figure("returns by phase and task", figure, iteration.number)

    def on_end(self):
        self._writer.close()


def test_a_figure_is_an_observer(train_small, tmp_path):
    train_small("--training.iterations", "2", observers=[AdvantageFigure(tmp_path / "figures")])
    events = EventAccumulator(str(tmp_path / "figures")).Reload()
    assert len(events.Images("returns by phase and task")) == 2


@pytest.mark.parametrize("name", ["maml", "reptile", "e_maml", "maml_pp"])
def test_learners_by_gradients_refuse_a_policy_with_memory(small_config_file, small_config, name):
    own = {"policy": {"name": "tests.user_package.recurrent:Elman"}, "meta_learner": {"name": name}}
    change(small_config_file, own)
    with pytest.raises(metarl.ConfigError, match=r"policy.name: expected a policy without memory, got Elman"):
        build_experiment(small_config())


def test_anil_adapts_the_named_layers_of_a_users_policy(small_config_file, small_config):
    own = {"policy": {"name": "tests.user_package.policies:TwoHeaded"}, "meta_learner": {"name": "anil"}}
    change(small_config_file, own)
    message = r"adapted_layers: expected some of 0, 1, the layers of TwoHeaded, got mean"
    with pytest.raises(metarl.ConfigError, match=message):
        build_experiment(small_config())
    with pytest.raises(metarl.ConfigError, match=r"adapted_layers: expected some of 0, 1, .*, got none"):
        build_experiment(small_config("--meta_learner.adapted_layers", "[]"))
    policy = metarl.train(small_config("--meta_learner.adapted_layers", "['1']"), quiet=True)
    experiment = build_experiment(small_config("--meta_learner.adapted_layers", "['1']"))
    start = experiment.learner.initial_state(torch.Generator().manual_seed(0)).parameters
    sampler = experiment.sampler(2, 3)
    walk = experiment.walk(sampler)
    tasks = experiment.held_out_tasks(2, seed=0)
    _, adapted = next(walk.walk(walk.start(start, 2), tasks, (0,), 1))
    sampler.close()
    moved = {name for name, value in start.items() if not torch.equal(adapted.parameters[name][0], value)}
    assert moved == {"1.weight", "1.bias"}
    assert set(policy.parameters) == set(start)


def test_before_adaptation_nothing_is_remembered_by_mean_actions_either(recurrent, train_small, tmp_path):
    train_small("--training.iterations", "1")
    loaded = metarl.load(tmp_path / "run", trust=True)
    options = {"tasks": 2, "episodes": 1, "steps": 1, "seed": 4, "keep_rollouts": True}
    first = metarl.evaluate(loaded, deterministic=True, **options).rollouts[0]
    experiment, start = loaded.experiment, TaskState(repeat(loaded.parameters, 2))
    sampler, tasks = experiment.sampler(2, 1, TRIALS), experiment.held_out_tasks(2, 4)
    alone = sampler.collect(start, tasks, (4, 0, EVALUATION, 2), deterministic=True)
    assert torch.equal(first.actions, alone.actions)
    assert torch.equal(alone.actions[alone.valid], alone.behaviour.mean[alone.valid])


class Counts(NamedTuple):
    count: torch.Tensor


class Two(NamedTuple):
    one: Counts
    other: Counts


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (Two(Counts(torch.tensor(1.0)), Counts(torch.tensor(2.0))), "got 'count' twice"),
        ([torch.tensor(1.0)], "a NamedTuple or a dict, got list"),
    ],
)
def test_a_state_that_no_checkpoint_holds_is_refused(state, message):
    with pytest.raises(TypeError, match=message):
        named_tensors(state)


def test_a_state_of_missing_tensors_is_none():
    with pytest.raises(KeyError):
        with_tensors(Counts(torch.tensor(1.0)), {})
    found = with_tensors({"count": torch.tensor(0.0)}, {"count": torch.tensor(3.0)})
    assert found["count"] == 3


def test_a_function_is_an_observer(tmp_path):
    config = {**SMALL, "run_dir": str(tmp_path / "run")}
    seen = []

    def stop(iteration):
        seen.append(iteration.number)
        return False

    metarl.train(config, observers=[stop], quiet=True)
    assert seen == [0]
    with pytest.raises(ValueError, match=r"observers: expected a metarl.Observer or a function"):
        metarl.train({**config, "run_dir": str(tmp_path / "other")}, observers=[3], quiet=True)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("settings", [{"schedule": "linear"}, {"schedule_updates": 3}])
def test_a_schedule_has_updates(settings):
    with pytest.raises(
        ValueError, match=r"clipped.schedule_updates: expected an integer > 0 with a schedule"
    ):
        ClippedConfig(**settings)
