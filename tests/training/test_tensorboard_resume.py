"""Event files of a run that stops and goes on: no step twice, none missing."""

import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from metarl.experiment.build import build_experiment
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.starting_point import initial_state
from metarl.training.observers import Observer
from metarl.training.tensorboard.groups import ADAPTATION, CARD, RESOURCES, SETTINGS, TRAINING
from metarl.training.tensorboard.history import read_history
from metarl.training.tensorboard.recorder import TensorBoardRecorder

RETURN, TRAINED = f"{ADAPTATION}/return_after_1_step", f"{TRAINING}/return_after"


def read(folder, tag):
    events = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def scalars(folder):
    """All but what a run used, which no run repeats."""
    tags = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    return {tag: read(folder, tag) for tag in tags if not tag.startswith(f"{RESOURCES}/")}


def image_steps(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return {tag: [event.step for event in events.Images(tag)] for tag in events.Tags()["images"]}


class Killed(Observer):
    """Copies the run folder as a kill in an iteration would leave it."""

    def __init__(self, run_dir, copy, at):
        self.run_dir, self.copy, self.at = run_dir, copy, at

    def on_iteration(self, iteration):
        if iteration.number == self.at:
            shutil.copytree(self.run_dir, self.copy)


@pytest.mark.parametrize(
    ("every", "figures"), [("3", "false"), *(pytest.param(n, "true", marks=pytest.mark.slow) for n in "13")]
)
def test_a_killed_run_that_goes_on_shows_every_step_once(train_small, tmp_path, every, figures, caplog):
    settings = ("--training.evaluate_every", "2", "--training.checkpoint_every", every)
    settings += ("--training.figures", figures)
    killed = Killed(tmp_path / "run", tmp_path / "killed", at=2)
    train_small(*settings, observers=[killed])
    train_small(*settings, "--run_dir", str(tmp_path / "killed"), resume=True)
    assert not caplog.text
    whole, resumed = (scalars(tmp_path / name) for name in ("run", "killed"))
    assert (len(whole[RETURN]), len(whole[TRAINED])) == (3, 4)
    assert resumed == whole
    pictures = image_steps(tmp_path / "run")
    if figures == "true":
        assert [*pictures[f"{ADAPTATION}/adaptation_curve"]] == [step for step, _ in whole[RETURN]]
    assert image_steps(tmp_path / "killed") == pictures


def test_a_longer_run_keeps_the_evaluation_where_it_ended(train_small, tmp_path):
    final = train_small("--training.iterations", "2")
    longer = train_small("--training.iterations", "3", resume=True)
    train_small("--training.iterations", "3", resume=True)
    steps = [step for step, _ in read(tmp_path / "run", RETURN)]
    assert steps == [0, final.environment_steps, longer.environment_steps]
    assert len(read(tmp_path / "run", TRAINED)) == 3


def test_the_figure_over_training_goes_on_from_what_the_files_hold(train_small, tmp_path):
    final = train_small("--training.iterations", "2", "--training.evaluate_every", "1")
    found = read_history(tmp_path / "run", final.environment_steps).evaluations
    assert [point.environment_steps for point in found] == [
        step for step, _ in read(tmp_path / "run", RETURN)
    ]
    assert [point.mean[1] for point in found] == [value for _, value in read(tmp_path / "run", RETURN)]
    assert all((point.low <= point.mean).all() and (point.mean <= point.high).all() for point in found)
    assert len(read_history(tmp_path / "run", final.environment_steps - 1).evaluations) == 2


def test_events_of_earlier_versions_stay_as_they_were(train_small, tmp_path):
    train_small("--training.iterations", "1")
    for file in (tmp_path / "run").glob("events.out.tfevents.*"):
        file.unlink()
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("rollout/return_after", -3.0, 0)
    train_small("--training.iterations", "2", resume=True)
    assert read(tmp_path / "run", "rollout/return_after") == [(0, -3.0)]
    assert len(read(tmp_path / "run", TRAINED)) == 1


def test_a_run_of_earlier_versions_gets_its_card_and_page_when_it_goes_on(train_small, tmp_path):
    train_small("--training.iterations", "1")
    for file in (tmp_path / "run").glob("events.out.tfevents.*"):
        file.unlink()
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("rollout/return_after", -3.0, 0)
    for iterations in ("2", "3"):
        train_small("--training.iterations", iterations, resume=True)
        events = EventAccumulator(str(tmp_path / "run"), size_guidance={"tensors": 0}).Reload()
        assert [len(events.Tensors(tag)) for tag in (CARD, SETTINGS)] == [1, 1]
        assert "custom_scalars__config__" in events.Tags()["tensors"]


def test_a_start_that_comes_again_writes_no_second_card(small_config, tmp_path):
    """As after a kill before the first checkpoint."""
    experiment = build_experiment(small_config("--run_dir", str(tmp_path)))
    start = Checkpoint(initial_state(experiment), 0, 0, "digest")
    for _ in range(2):
        recorder = TensorBoardRecorder(experiment)
        recorder.on_start(start)
        recorder.on_end()
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    assert [len(events.Tensors(tag)) for tag in (CARD, SETTINGS)] == [1, 1]
