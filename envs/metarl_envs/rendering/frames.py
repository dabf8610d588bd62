"""Pictures of a family's state and task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from metarl_envs.arguments import told
from metarl_envs.family import Family, State
from metarl_envs.rendering.markers import draw_task, draw_trail, tint_by_mass
from metarl_envs.rendering.opengl import open_renderer
from metarl_envs.rendering.scene import Scene
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Task

Frame = NDArray[np.uint8]
"""[height, width, 3]."""
_FLOOR = np.array([62, 72, 88], np.uint8)
_SHADOW_MAP = 2048  # half of MuJoCo's, which takes most of the time without a GPU
_SHADOW_REACH = 0.3  # of the model's extent; shadows of distant floor are stray lines without a GPU


def frames_per_second(family: Family) -> int:
    """The rate at which the family's steps are played, 1/s."""
    chosen = family.scene.frames_per_second if family.scene else None
    return chosen or round(1 / family.dt)


def checked_render_mode(render_mode: str | None, render_modes: Sequence[str]) -> str | None:
    """The render mode.

    Raises:
        ValueError: it is not among those that the environment has.
    """
    if render_mode is not None and not (isinstance(render_mode, str) and render_mode in render_modes):
        raise ValueError(f"expected render_mode to be None or one of {render_modes}, got {told(render_mode)}")
    return render_mode


class PosedModel:
    """A scene's model in the state that is drawn, seen by a camera that follows it.

    Attributes:
        model, data: what MuJoCo draws.
        roams: whether the body can go anywhere on the ground, and not along a line of it alone.
        place: where on the ground the body is, [2] in m.
        lookat: the place that the camera looks at, [3] in m.
    """

    def __init__(self, scene: Scene) -> None:
        self.camera = scene.camera
        self.model = scene.load_model()
        self.model.vis.quality.shadowsize = _SHADOW_MAP
        self.model.vis.map.shadowclip = _SHADOW_REACH
        _soften_floors(self.model)
        self.data = mujoco.MjData(self.model)
        self._rgba = _colours(self.model)
        self._body = self.model.body(scene.camera.tracked_body or 1).id
        mujoco.mj_forward(self.model, self.data)
        self._arrow_height = _top(self.model, self.data) + 0.06 * scene.camera.distance
        self.roams = _roams(self.model)

    def pose(self, state: State, task: Task) -> None:
        """Takes one environment's state, [nq] and [nv]; without velocities the body is at rest."""
        self.data.qpos[:] = state.qpos
        self.data.qvel[:] = state.qvel if state.qvel.size else 0.0
        mujoco.mj_forward(self.model, self.data)
        self.model.geom_rgba[:] = tint_by_mass(self._rgba, self.model.geom_bodyid, task)

    @property
    def place(self) -> Array:
        return np.array(self.data.xpos[self._body][:2])

    @property
    def lookat(self) -> Array:
        follows = self.camera.tracked_body is not None
        x, y, _ = self.data.xpos[self._body] if follows else (0.0, 0.0, 0.0)
        lookat: Array = np.array([x, y, 0.0]) + self.camera.lookat
        return lookat

    def draw_task(self, scene: mujoco.MjvScene, task: Task) -> None:
        """Adds the task's markers."""
        x, y, _ = self.data.xpos[self._body]
        velocity = np.zeros(6)
        kind = mujoco.mjtObj.mjOBJ_BODY
        mujoco.mj_objectVelocity(self.model, self.data, kind, self._body, velocity, 0)
        above = np.array([x, y, self._arrow_height])
        draw_task(scene, task, above=above, speed=velocity[3], size=self.camera.distance)

    def aim(self, camera: mujoco.MjvCamera) -> None:
        """Puts MuJoCo's camera where the scene's stands."""
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = self.lookat
        camera.distance = self.camera.distance
        camera.azimuth = self.camera.azimuth
        camera.elevation = self.camera.elevation


class FrameRenderer:
    """Draws frames off screen; OpenGL is opened with it.

    Args:
        scene: what is drawn.
        width, height: of a frame, pixels.

    Raises:
        DependencyNotInstalled: there is no OpenGL; the message says what to set and to install.
    """

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self._posed = PosedModel(scene)
        self._camera = mujoco.MjvCamera()
        self._renderer: Any = open_renderer(self._posed.model, width, height)

    def frame(self, state: State, task: Task, trail: Sequence[Array] = ()) -> Frame:
        """One environment's picture, [height, width, 3].

        Args:
            trail: places on the ground to draw a way along, [2] each in m; as `place` gives them.
        """
        self._posed.pose(state, task)
        self._posed.aim(self._camera)
        self._renderer.update_scene(self._posed.data, self._camera)
        self._posed.draw_task(self._renderer.scene, task)
        draw_trail(self._renderer.scene, trail, size=self._posed.camera.distance)
        frame: Frame = self._renderer.render()
        return frame

    def place(self, state: State, task: Task) -> Array | None:
        """Where on the ground one environment's body is, [2] in m; None of bodies that move along a line."""
        if not self._posed.roams:
            return None
        self._posed.pose(state, task)
        return self._posed.place

    def close(self) -> None:
        """Frees the OpenGL context."""
        self._renderer.close()


def _soften_floors(model: mujoco.MjModel) -> None:
    """Gives floors two similar shades, on which markers and text can be read."""
    materials = model.geom_matid[(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.geom_matid >= 0)]
    model.mat_reflectance[materials] = 0.0
    for texture in model.mat_texid[materials, mujoco.mjtTextureRole.mjTEXROLE_RGB]:
        if texture >= 0:
            channels = model.tex_nchannel[texture]
            size = model.tex_height[texture] * model.tex_width[texture] * channels
            pixels = model.tex_data[model.tex_adr[texture] :][:size].reshape(-1, channels)
            pixels[:, :3] = _FLOOR + pixels[:, :3] // 16


def _roams(model: mujoco.MjModel) -> bool:
    slides = model.jnt_axis[model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE, :2]
    free = (model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).any()
    return bool(free) or np.linalg.matrix_rank(slides) == 2


def _colours(model: mujoco.MjModel) -> Array:
    """The geoms' colours, their materials' where they have one; [geom, 4]."""
    material = model.geom_matid
    own = model.geom_rgba.astype(np.float64)
    if not model.nmat:
        return np.array(own)
    return np.array(np.where((material >= 0)[:, None], model.mat_rgba[material], own))


def _top(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """The height of the highest point of the bodies' bounding boxes, m."""
    moving = model.geom_bodyid > 0
    centre, half = model.geom_aabb[moving, :3], model.geom_aabb[moving, 3:]
    upward = data.geom_xmat[moving].reshape(-1, 3, 3)[:, 2]
    tops = data.geom_xpos[moving, 2] + (upward * centre).sum(-1) + (np.abs(upward) * half).sum(-1)
    return float(tops.max())
