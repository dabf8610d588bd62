"""Frames and films in event files; what cannot be drawn or measured is told, and stops nothing."""

import io

import pytest
from gymnasium.error import DependencyNotInstalled
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import metarl.training.tensorboard.recorder as recorder
from metarl.training.tensorboard.groups import ADAPTATION, FAULT
from tests.support.opengl import needs_opengl

FIGURES = ("--training.figures", "true", "--training.iterations", "2")


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0}).Reload()


@needs_opengl
def test_frames_stand_at_the_end_and_films_as_often_as_asked(train_small, tmp_path):
    final = train_small(*FIGURES, "--training.record_video_every", "1")
    events = read(tmp_path / "run")
    (frames,) = events.Images(f"{ADAPTATION}/frames")
    assert frames.step == final.environment_steps
    assert (frames.width, frames.height) == (4 * 320, 2 * 240)
    films = events.Images(f"{ADAPTATION}/film")
    assert len(films) == 3
    film = Image.open(io.BytesIO(films[-1].encoded_image_string))
    assert film.format == "GIF"
    assert film.size == (640, 240)
    assert film.n_frames > 1


def test_without_opengl_the_page_says_so_and_the_run_ends_well(train_small, tmp_path, monkeypatch):
    def without(*arguments):
        raise DependencyNotInstalled("no OpenGL here")

    monkeypatch.setattr(recorder, "films", without)
    train_small(*FIGURES)
    events = read(tmp_path / "run")
    assert "no OpenGL here" in events.Tensors(FAULT)[0].tensor_proto.string_val[0].decode()
    assert len(events.Images(f"{ADAPTATION}/gains")) == 2


def test_a_fault_in_the_first_evaluation_is_told_and_training_goes_on(train_small, tmp_path):
    loud = ("--meta_learner.later_step_scale", "1e38", "--training.evaluation_steps", "2")
    with pytest.raises(Exception, match="evaluation after 2 iterations"):
        train_small(*loud, "--training.iterations", "2")
    (fault,) = read(tmp_path / "run").Tensors(FAULT)
    assert "evaluation after 0 iterations" in fault.tensor_proto.string_val[0].decode()


def test_no_figures_are_drawn_where_none_are_wanted(train_small, tmp_path):
    train_small("--training.iterations", "1")
    assert read(tmp_path / "run").Tags()["images"] == []
