"""Films that training records."""

import imageio.v2 as imageio
import pytest
from gymnasium.error import DependencyNotInstalled
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import metarl
from metarl.errors import TrainingError
from metarl.experiment.build import Experiment
from metarl.runs.checkpoint import load_checkpoint
from metarl.training.tensorboard.groups import FAULT
from tests.support.opengl import needs_opengl

PICTURED = ("--environment.id", "tests.support.tiny_envs:tests/Pictured-v0", "--environment.options", "{}")
EVERY = ("--training.record_video_every", "1")


@needs_opengl
def test_training_films_a_held_out_task_every_so_often(train_small, tmp_path):
    train_small("--training.iterations", "3", "--training.record_video_every", "2")
    films = sorted((tmp_path / "run" / "films").iterdir())
    assert [film.name for film in films] == ["iteration_000000.gif", "iteration_000002.gif"]
    frames = imageio.mimread(films[0])
    assert len(frames) == 9
    assert frames[0].shape[:2] == (240, 640)
    assert films[0].read_bytes() != films[1].read_bytes()


@needs_opengl
def test_films_change_nothing_that_is_learned(train_small, small_config, tmp_path):
    plain = train_small("--training.iterations", "2", "--run_dir", str(tmp_path / "plain"))
    filmed = train_small("--training.iterations", "1", "--training.record_video_every", "1")
    assert filmed.config_digest == plain.config_digest
    resumed = train_small("--training.iterations", "2", resume=True)
    for name, value in plain.state.parameters.items():
        assert (resumed.state.parameters[name] == value).all()


def test_no_film_is_recorded_unasked(train_small, tmp_path):
    train_small("--training.iterations", "1")
    assert not (tmp_path / "run" / "films").exists()


@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode")
def test_what_cannot_be_filmed_is_told_before_training(train_small, tmp_path):
    drift = ("--environment.id", "tests.support.tiny_envs:tests/Drift-v0", "--environment.options", "{}")
    run_dir = ("--run_dir", str(tmp_path / "runs" / "mine"))
    with pytest.raises(metarl.ConfigError, match=r"training.record_video_every: .*render_mode"):
        train_small(*drift, *run_dir, "--environment.vectorization", "sync", *EVERY)
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize("resume", [False, True])
def test_a_machine_that_cannot_draw_is_told_before_training(train_small, tmp_path, monkeypatch, resume):
    if resume:
        before = train_small("--training.iterations", "1")
    monkeypatch.setattr("metarl.runs.films.FrameRenderer", no_opengl)
    with pytest.raises(metarl.ConfigError, match=r"training.record_video_every: no OpenGL"):
        train_small(*EVERY, resume=resume)
    assert (tmp_path / "run").exists() == resume
    if resume:
        assert load_checkpoint(tmp_path / "run").iteration == before.iteration
        assert "record_video_every: 0" in (tmp_path / "run" / "config.yaml").read_text()


def no_opengl(*arguments):
    raise DependencyNotInstalled("no OpenGL")


def test_training_goes_on_where_no_film_is_to_be_had(train_small, tmp_path, monkeypatch, capsys):
    evaluate = Experiment.evaluate

    def faulty(self, *arguments, where, **options):
        if where == "film after 1 iterations":
            raise TrainingError(f"{where}: expected finite numbers")
        return evaluate(self, *arguments, where=where, **options)

    monkeypatch.setattr(Experiment, "evaluate", faulty)
    assert train_small(*PICTURED, *EVERY, "--training.iterations", "2").iteration == 2
    told = "film after 1 iterations: expected finite numbers"
    assert capsys.readouterr().err == f"error: no film: {told}\n"
    films = sorted(path.name for path in (tmp_path / "run" / "films").iterdir())
    assert films == ["iteration_000000.gif", "iteration_000002.gif"]
    (event,) = EventAccumulator(str(tmp_path / "run")).Reload().Tensors(FAULT)
    assert event.tensor_proto.string_val[0].decode() == told


def test_an_environment_that_takes_no_size_is_filmed(train_small, tmp_path):
    train_small(*PICTURED, "--training.iterations", "1", *EVERY)
    film = tmp_path / "run" / "films" / "iteration_000000.gif"
    assert imageio.mimread(film)[0].shape[:2] == (240, 640)
