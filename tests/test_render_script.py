"""Films and pictures from scripts/render.py."""

import imageio.v2 as imageio
import numpy as np
import pytest

from tests.support.opengl import needs_opengl
from tests.support.warm_commands import run_script

SMALL = ("--width", 160, "--height", 120)
POINT = ("--environment", "metarl/PointNavigation-v0")


@needs_opengl
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pipes of imageio's ffmpeg
@pytest.mark.parametrize(("suffix", "fps"), [(".mp4", 10), (".gif", None)])
def test_a_run_is_filmed_before_and_after_adaptation(run_dir, tmp_path, suffix, fps):
    output = tmp_path / f"film{suffix}"
    task = ("--task", '{"goal": [0.4, -0.4]}')
    done = run_script("render", run_dir, *task, "--steps", 2, "--length", 6, *SMALL, "--output", output)
    assert done.returncode == 0, done.stderr
    assert str(output) in done.stdout
    with imageio.get_reader(output) as film:
        frames = [np.asarray(frame)[..., :3] for frame in film]
        assert fps is None or film.get_meta_data()["fps"] == fps
    assert [frame.shape for frame in frames] == [(120, 320, 3)] * 7
    before, after = frames[-1][:, :160].astype(int), frames[-1][:, 160:].astype(int)
    assert (np.abs(before - after)[20:90] > 60).any()  # the points and ways; text is above and below


@needs_opengl
def test_an_environment_is_pictured_in_its_task(tmp_path):
    pictures = []
    for name, goal in (("a", "[0.4, 0.4]"), ("b", "[-0.4, 0.4]")):
        output = tmp_path / f"{name}.png"
        task = f'{{"goal": {goal}}}'
        done = run_script("render", *POINT, "--task", task, "--length", 3, *SMALL, "--output", output)
        assert done.returncode == 0, done.stderr
        pictures.append(imageio.imread(output))
    assert pictures[0].shape == (120, 160, 3)
    assert 0 < (pictures[0] != pictures[1]).any(-1).mean() < 0.08


@needs_opengl
def test_a_file_that_is_there_is_replaced_on_request_alone(tmp_path):
    output = tmp_path / "picture.png"
    output.write_text("mine")
    words = (*POINT, "--length", 1, *SMALL, "--output", output)
    refused = run_script("render", *words)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"error: --output: expected a name that is free, got {output}")
    assert output.read_text() == "mine"
    done = run_script("render", *words, "--overwrite", "true")
    assert done.returncode == 0, done.stderr
    assert imageio.imread(output).shape == (120, 160, 3)
    assert [*tmp_path.iterdir()] == [output]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--task", "{}"), "expected a run folder"),
        ((), "expected a run folder or --environment"),
        ((*POINT, "--task", '{"goal": [9, 9]}'), "--task: task 'goal': expected a value"),
        (("--environment", "metarl/NoSuch-v0"), "NoSuch"),
        ((*POINT, "--output", "film.avi"), "--output: expected a name that ends in .mp4, .gif, .png"),
        ((*POINT, "--output", "no/such/folder.png"), "--output: expected a name in a folder that exists"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    output = () if "--output" in arguments else ("--output", tmp_path / "film.mp4")
    done = run_script("render", *arguments, *output)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
