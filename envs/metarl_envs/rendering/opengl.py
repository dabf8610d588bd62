"""OpenGL through MuJoCo, also on machines without a display, and what to do where there is none."""

from __future__ import annotations

import os
import platform
import sys

from gymnasium.error import DependencyNotInstalled


def _no_opengl(error: BaseException) -> str:
    setting = os.environ.get("MUJOCO_GL")
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"no OpenGL with MUJOCO_GL {'not set' if setting is None else f'set to {setting!r}'}; on a machine "
        "without a display set MUJOCO_GL=egl and install Mesa's EGL (Debian and Ubuntu: apt-get install "
        f"libegl1 libopengl0 libgl1-mesa-dri); [{reason}]"
    )


_missing: Exception | None = None
"""What PyOpenGL raises, while mujoco is imported, where the library that MUJOCO_GL names is missing."""

try:
    import mujoco
except (AttributeError, OSError, RuntimeError) as error:
    _setting = os.environ.get("MUJOCO_GL")
    if not _setting:
        raise
    _missing = error
    os.environ["MUJOCO_GL"] = "disable"  # physics needs no OpenGL; `open_renderer` tells
    try:
        import mujoco
    finally:
        os.environ["MUJOCO_GL"] = _setting

_SMALL_PICTURE = 300  # pixels; text is drawn in a size of its own


def open_renderer(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    """MuJoCo's renderer; on a machine without a display it takes EGL, unless MUJOCO_GL says otherwise.

    Raises:
        DependencyNotInstalled: there is no OpenGL; the message says what to set and to install.
    """
    if _missing is not None:
        raise DependencyNotInstalled(_no_opengl(_missing)) from _missing
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    fonts = mujoco.mjtFontScale
    font = fonts.mjFONTSCALE_100 if height < _SMALL_PICTURE else fonts.mjFONTSCALE_150
    try:
        if _needs_egl():
            _use_egl()
        return mujoco.Renderer(model, height, width, font_scale=font)
    except Exception as error:  # drivers and their wrappers raise all kinds
        raise DependencyNotInstalled(_no_opengl(error)) from error


def _needs_egl() -> bool:
    displays = ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")
    return platform.system() == "Linux" and not any(os.environ.get(name) for name in displays)


def _use_egl() -> None:
    """MuJoCo chooses the kind of its contexts once, when it is imported; this changes its choice."""
    from mujoco.egl import GLContext

    sys.modules[mujoco.Renderer.__module__].gl_context.GLContext = GLContext
