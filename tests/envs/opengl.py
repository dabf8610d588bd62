"""Whether pictures can be drawn here."""

import mujoco
import pytest
from gymnasium.error import DependencyNotInstalled
from metarl_envs.opengl import open_renderer


def _fault() -> str:
    try:
        open_renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16).close()
    except DependencyNotInstalled as error:
        return str(error)
    return ""


FAULT = _fault()
needs_opengl = pytest.mark.skipif(bool(FAULT), reason=FAULT)
