"""What a newcomer adds lives in files of their own: a policy with memory, a learner with replay, a figure."""

import pytest
import torch
import yaml
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import metarl
from metarl.math.parameters import repeat
from metarl.meta_learners.learner import named_tensors
from metarl.policies.policy import TaskState
from metarl.runs.checkpoint import load_checkpoint
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
    with pytest.raises(ValueError, match="expected a policy without memory, got Elman"):
        loaded.predict([0.0, 0.0])


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
