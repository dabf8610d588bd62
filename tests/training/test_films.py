"""Films that training records."""

import imageio.v2 as imageio
import pytest

import metarl
from tests.support.opengl import needs_opengl


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
    with pytest.raises(metarl.ConfigError, match=r"training.record_video_every: .*render_mode"):
        train_small(*drift, "--environment.vectorization", "sync", "--training.record_video_every", "1")
    assert len((tmp_path / "run" / "progress.csv").read_text().splitlines()) <= 1


def test_an_environment_that_takes_no_size_is_filmed(train_small, tmp_path):
    own = ("--environment.id", "tests.support.tiny_envs:tests/Pictured-v0", "--environment.options", "{}")
    train_small(*own, "--training.iterations", "1", "--training.record_video_every", "1")
    film = tmp_path / "run" / "films" / "iteration_000000.gif"
    assert imageio.mimread(film)[0].shape[:2] == (240, 640)
