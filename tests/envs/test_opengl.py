"""Where OpenGL or a display is missing, one line says what to do; nobody else needs them."""

import os
import platform
import shutil
import subprocess
import sys

import gymnasium
import mujoco
import pytest
from gymnasium.error import DependencyNotInstalled

from tests.support.opengl import needs_opengl

linux = pytest.mark.skipif(platform.system() != "Linux", reason="EGL and X are Linux's")
SETTINGS = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")
MAKE = "import gymnasium, metarl_envs\nenv = gymnasium.make('metarl/HalfCheetahVel-v0', render_mode={!r})\n"
WINDOW = """
import time
from PIL import ImageGrab
env.reset(seed=0)
start = time.monotonic()
for _ in range(20):
    env.step(env.action_space.sample())
assert env.render() is None
seconds = time.monotonic() - start
screen = ImageGrab.grab(xdisplay="").convert("RGB")
green = sum(r < 80 < 150 < g and b < 100 for r, g, b in screen.get_flattened_data())
env.close()
env.close()
black = max(pixel for _, pixels in ImageGrab.grab(xdisplay="").getcolors(9) for pixel in pixels)
print(seconds, green, black)
"""


def python(code, **environment):
    """Runs code without a display, where the environment names none."""
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command, env=inherited | environment, capture_output=True, text=True, check=False, timeout=120
    )


def last_line(text):
    return text.strip().splitlines()[-1]


def test_no_opengl_is_one_line_that_says_what_to_install(monkeypatch):
    def renderer(*args, **kwargs):
        raise AttributeError("'NoneType' object\nhas no attribute 'glGetError'")

    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr(mujoco, "Renderer", renderer)
    env = gymnasium.make("metarl/PointNavigation-v0", render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(DependencyNotInstalled) as error:
        env.render()
    message = str(error.value)
    assert "\n" not in message
    for part in ("MUJOCO_GL set to 'osmesa'", "MUJOCO_GL=egl", "apt-get install libegl1", "glGetError"):
        assert part in message
    env.step(env.action_space.sample())


@pytest.fixture
def without_osmesa(tmp_path):
    """PyOpenGL, and so mujoco, cannot be imported."""
    (tmp_path / "OpenGL").mkdir()
    (tmp_path / "OpenGL" / "__init__.py").write_text("None.glGetError")
    paths = [str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {"MUJOCO_GL": "osmesa", "PYTHONPATH": os.pathsep.join(paths)}


@linux
def test_a_missing_library_is_missed_by_pictures_alone(without_osmesa):
    code = MAKE.format("rgb_array") + "env.reset()\nenv.step(env.action_space.sample())\nprint('stepped')\n"
    done = python(code + "env.render()", **without_osmesa)
    assert done.stdout.strip() == "stepped", done.stderr
    told = last_line(done.stderr)
    assert "DependencyNotInstalled: no OpenGL with MUJOCO_GL set to 'osmesa'; " in told
    assert "apt-get install libegl1" in told
    assert "glGetError" in told


@linux
def test_the_render_command_tells_of_a_missing_library_in_one_line(without_osmesa, tmp_path):
    words = ["render", "--environment", "metarl/AntGoal-v0", "--output", str(tmp_path / "picture.png")]
    code = f"import sys\nfrom metarl.commands import render\nsys.argv = {words}\nsys.exit(render.main())"
    done = python(code, **without_osmesa)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert len(errors) == 1
    assert errors[0].startswith("error: no OpenGL with MUJOCO_GL set to 'osmesa'; ")


def test_steps_load_no_opengl():
    code = MAKE.format("rgb_array") + "env.reset()\nenv.step(env.action_space.sample())\nimport sys\n"
    done = python(code + "print('OpenGL' in sys.modules or 'metarl_envs.rendering.window' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


@linux
@needs_opengl
def test_without_a_display_egl_is_taken_by_itself():
    done = python(MAKE.format("rgb_array") + "env.reset()\nprint(env.render().shape)")
    assert done.stdout.strip() == "(480, 640, 3)", done.stderr


@linux
def test_a_window_without_a_display_is_one_line():
    done = python(MAKE.format("human") + "env.reset()")
    assert 'DependencyNotInstalled: render_mode="human" needs a display' in last_line(done.stderr)


@linux
@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="needs xvfb-run: apt-get install xvfb")
def test_a_window_shows_the_task_at_the_simulations_pace(tmp_path):
    program = tmp_path / "window.py"
    program.write_text(MAKE.format("human") + WINDOW)
    command = ["xvfb-run", "-a", sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seconds, green, after_close = map(float, done.stdout.split())
    assert seconds > 20 * 0.05 - 0.1
    assert green > 50
    assert after_close == 0
