"""Whether pictures can be drawn here, found out without the package's own choice of OpenGL."""

import os
import platform

import pytest


def _fault() -> str:
    if platform.system() != "Linux" or os.environ.get("DISPLAY"):
        return ""
    try:
        from mujoco.egl import GLContext

        GLContext(16, 16).free()
    except Exception as error:
        return f"no OpenGL: neither a display nor EGL (apt-get install libegl1 libgl1-mesa-dri): {error!r}"
    return ""


FAULT = _fault()
needs_opengl = pytest.mark.skipif(bool(FAULT), reason=FAULT)
