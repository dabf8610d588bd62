"""A window that shows one environment."""

from __future__ import annotations

import time
import warnings
from typing import Any

import glfw
import mujoco
from gymnasium.error import DependencyNotInstalled

from metarl_envs.family import State
from metarl_envs.rendering.frames import PosedModel
from metarl_envs.rendering.scene import Scene
from metarl_envs.tasks import Task

_MAX_GEOMS = 10_000


class Window:
    """Plays an environment at a fixed frame rate, in the caller's thread.

    MuJoCo's passive viewer draws in a thread that outlives its closing and takes the process down at
    exit. A window that its user has closed stays closed, and the environment continues.

    Args:
        scene: what is drawn.
        width, height: at first, pixels; the user may change them.
        frames_per_second: the rate; `draw` waits for it.

    Raises:
        DependencyNotInstalled: there is no display, or no OpenGL; the message says what to do.
    """

    def __init__(self, scene: Scene, width: int, height: int, frames_per_second: float) -> None:
        self._posed = PosedModel(scene)
        self._interval = 1 / frames_per_second
        self._due = time.monotonic()
        self._window = _open_window(width, height)
        glfw.make_context_current(self._window)
        glfw.swap_interval(0)
        self._camera, self._option = mujoco.MjvCamera(), mujoco.MjvOption()
        self._scene = mujoco.MjvScene(self._posed.model, _MAX_GEOMS)
        self._context = mujoco.MjrContext(self._posed.model, mujoco.mjtFontScale.mjFONTSCALE_150)

    def draw(self, state: State, task: Task) -> None:
        """Shows one environment's state and task, once the last frame has been shown for its time."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = max(self._due, time.monotonic() - self._interval) + self._interval
        if self._window is None:
            return
        posed, everything = self._posed, mujoco.mjtCatBit.mjCAT_ALL
        posed.pose(state, task)
        posed.aim(self._camera)
        mujoco.mjv_updateScene(
            posed.model, posed.data, self._option, None, self._camera, everything, self._scene
        )
        posed.draw_task(self._scene, task)
        glfw.make_context_current(self._window)
        viewport = mujoco.MjrRect(0, 0, *glfw.get_framebuffer_size(self._window))
        mujoco.mjr_render(viewport, self._scene, self._context)
        glfw.swap_buffers(self._window)
        glfw.make_context_current(None)  # type: ignore[arg-type]  # pictures may want the thread
        glfw.poll_events()
        if glfw.window_should_close(self._window):
            self.close()

    def close(self) -> None:
        """Closes the window and frees its OpenGL context."""
        if self._window is not None:
            glfw.make_context_current(self._window)
            self._context.free()
            glfw.make_context_current(None)  # type: ignore[arg-type]
            glfw.destroy_window(self._window)
            glfw.poll_events()
        self._window = None


def _open_window(width: int, height: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glfw warns of what is raised here
        glfw.init()
        glfw.window_hint(glfw.VISIBLE, glfw.TRUE)
        window = glfw.create_window(width, height, "metarl", None, None)
    if not window:
        raise DependencyNotInstalled(
            'render_mode="human" needs a display with OpenGL: start it in a desktop session or by xvfb-run '
            '(Debian and Ubuntu: apt-get install xvfb libgl1), or take render_mode="rgb_array"'
        )
    return window
