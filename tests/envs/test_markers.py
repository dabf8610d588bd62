"""What a task asks for stands in the scene where it should; drawn without OpenGL."""

import mujoco
import numpy as np
import pytest
from metarl_envs.rendering.markers import draw_task, tint_by_mass

ABOVE = np.array([2.0, -1.0, 1.5])
SIZE = 4.0
GEOMS = mujoco.mjtGeom


@pytest.fixture
def markers():
    """(task, speed) -> the geoms of a scene that was empty."""
    model = mujoco.MjModel.from_xml_string("<mujoco/>")

    def draw(task, speed=0.0):
        scene = mujoco.MjvScene(model, 200)
        draw_task(scene, task, above=ABOVE, speed=speed, size=SIZE)
        return [scene.geoms[i] for i in range(scene.ngeom)]

    return draw


def of_type(geoms, kind):
    return [geom for geom in geoms if geom.type == kind]


def along(arrow):
    """An arrow's vector, from its foot to its tip; MuJoCo's arrows point along their z axis."""
    return arrow.mat[:, 2] * arrow.size[2]


def test_goal_is_a_disc_at_the_goal(markers):
    (disc,) = markers({"goal": np.array([0.3, -0.4])})
    assert disc.type == GEOMS.mjGEOM_CYLINDER
    np.testing.assert_allclose(disc.pos, [0.3, -0.4, 0.0], atol=1e-6)


def test_angle_is_a_goal_on_the_unit_circle_inside_its_rewarded_area(markers):
    geoms = markers({"angle": 2 * np.pi / 3})
    discs = of_type(geoms, GEOMS.mjGEOM_CYLINDER)
    for disc in discs:
        np.testing.assert_allclose(disc.pos, [-0.5, np.sqrt(0.75), 0.0], atol=1e-6)
    assert max(disc.size[0] for disc in discs) == pytest.approx(0.2)
    segments = of_type(geoms, GEOMS.mjGEOM_CAPSULE)
    np.testing.assert_allclose([np.hypot(*segment.pos[:2]) for segment in segments], 1.0, atol=2e-3)


@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_direction_is_an_arrow_along_x_above_the_body(markers, direction):
    (arrow,) = markers({"direction": direction})
    np.testing.assert_allclose(arrow.pos, ABOVE)
    np.testing.assert_allclose(along(arrow) / arrow.size[2], [direction, 0, 0], atol=1e-6)


@pytest.mark.parametrize("heading", [0.0, 1.0, 4.0])
def test_heading_is_an_arrow_along_it(markers, heading):
    (arrow,) = markers({"heading": heading})
    np.testing.assert_allclose(arrow.pos, ABOVE)
    np.testing.assert_allclose(along(arrow) / arrow.size[2], [np.cos(heading), np.sin(heading), 0], atol=1e-6)


def test_velocity_is_an_arrow_and_a_number_beside_the_actual_ones(markers):
    geoms = markers({"velocity": 1.5}, speed=-0.25)
    commanded, actual = of_type(geoms, GEOMS.mjGEOM_ARROW)
    assert along(commanded)[0] > 0 > along(actual)[0]
    assert commanded.pos[2] > actual.pos[2]
    assert [geom.label for geom in of_type(geoms, GEOMS.mjGEOM_LABEL)] == ["target 1.50 m/s", "now -0.25 m/s"]


def test_velocity_arrows_grow_with_the_speed_and_agree_when_it_is_reached(markers):
    pairs = [of_type(markers({"velocity": v}, speed=v), GEOMS.mjGEOM_ARROW) for v in (0.1, 0.2, 1, 3, 10)]
    lengths = [along(commanded)[0] for commanded, _ in pairs]
    assert (np.diff(lengths) > 0).all()
    assert lengths[-1] < SIZE / 2
    np.testing.assert_allclose(lengths, [along(actual)[0] for _, actual in pairs], rtol=1e-5)


def test_other_tasks_have_no_marker(markers):
    assert markers({"dof_damping": np.ones(3), "nonsense": 1.0}) == []


def test_bodies_are_redder_when_heavier_and_bluer_when_lighter():
    rgba, bodies = np.full((4, 4), 0.5), np.array([0, 1, 2, 3])
    tinted = tint_by_mass(rgba, bodies, {"body_mass": np.array([3.0, 3.0, 1.0, 1 / 3])})
    warmth = tinted[:, 0] - tinted[:, 2]
    np.testing.assert_array_equal(tinted[[0, 2]], rgba[[0, 2]])
    assert warmth[1] > 0.1 > -0.1 > warmth[3]
    slightly = tint_by_mass(rgba, bodies, {"body_mass": np.array([1.0, 1.2, 1.0, 1.0])})
    assert 0 < slightly[1, 0] - slightly[1, 2] < warmth[1]
    np.testing.assert_array_equal(tint_by_mass(rgba, bodies, {"velocity": 1.0}), rgba)
