"""Films of episodes: what is on their frames, and what stands still."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from metarl_envs.rendering.frames import FrameRenderer

import metarl
from metarl.experiment.sections import EnvironmentConfig
from metarl.runs.captions import annotated, episode_text, side_by_side
from metarl.runs.films import film, film_episode, make_filmed
from tests.support.opengl import needs_opengl

SIZE = (160, 120)
TASK = {"goal": np.array([0.4, 0.4])}


def to_the_right(observation, reward):
    return np.array([1.0, 0.0], np.float32)


def counting(frames):
    """Frames of one grey each, by their numbers."""
    return [np.full((120, 160, 3), value, np.uint8) for value in frames]


@needs_opengl
def test_a_film_has_the_start_every_kth_step_and_the_end(small_config):
    config = small_config("--environment.horizon=7")
    frames = film(config, to_the_right, TASK, size=SIZE, every=3)
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 4  # after steps 0, 3, 6 and 7
    assert len({frame.tobytes() for frame in frames}) == 4
    whole = film(config, to_the_right, TASK, size=SIZE)
    for k, frame in zip((0, 3, 6, 7), frames, strict=True):
        changed = (frame != whole[k]).any(-1).mean()
        assert changed < 0.001  # the same but for the ways between the places, which are straight here


def yellow(frame):
    """Where the way is, [row, column]."""
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    return np.argwhere((np.minimum(red, green) > 150) & (blue < 100))


@needs_opengl
def test_the_way_on_the_plane_is_drawn_to_where_the_body_is(small_config):
    frames = film(small_config("--environment.horizon=8"), to_the_right, TASK, size=(640, 480))
    metre = 480 / (2 * 2.9 * np.tan(np.radians(45 / 2)))
    assert len(yellow(frames[0])) < 10  # a glint on the body
    for steps in (3, 8):
        way = yellow(frames[steps])
        np.testing.assert_allclose(way[:, 0].mean(), 239.5, atol=2)
        assert way[:, 1].min() == pytest.approx(319.5, abs=4)
        centre, body = 319.5 + 0.1 * steps * metre, 0.08 * metre
        columns = np.unique(way[:, 1])
        assert columns.max() < centre + 8  # a glint on the body
        assert (columns < centre - body).sum() == pytest.approx(centre - body - 319.5, abs=3)


@needs_opengl
@pytest.mark.parametrize(
    ("name", "roams"), [("AntGoal", True), ("SwimmerVel", True), ("HalfCheetahDir", False)]
)
def test_a_way_is_of_bodies_that_roam_a_plane(name, roams):
    env = gymnasium.make(f"metarl/{name}-v0").unwrapped
    env.reset(seed=0)
    renderer = FrameRenderer(env.scene, *SIZE)
    assert (renderer.place(*env.current()) is not None) == roams
    renderer.close()


def test_the_text_says_task_step_and_return():
    assert episode_text({"goal": [0.4, -0.25]}, 12, -3.14) == "goal [0.4, -0.25]\nstep 12   return -3.1"
    assert episode_text(None, 0, 0.0) == "step 0   return 0.0"
    masses = {"body_mass": np.array([1.0, 2.5, 0.5, 1.25])}
    assert episode_text(masses, 1, 1.0).splitlines()[0] == "body mass 0.5 to 2.5"


@pytest.mark.parametrize(("size", "tall"), [((160, 120), 9), ((320, 240), 15), ((640, 480), 20)])
def test_the_text_can_be_read_on_small_frames_and_fits_them(size, tall):
    """Of 320 x 240, which TensorBoard shows at half its size and less, it is as tall as in a page."""
    black = np.zeros((size[1], size[0], 3), np.uint8)
    ink = annotated(black, "step 100   (-123.4)").any(-1)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    assert rows[-1] - rows[0] + 1 >= tall
    assert columns[-1] < size[0] - 1


class Counted(gymnasium.Env):
    """Rewards of 1, without tasks; its pictures are black."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(1, np.float32), 1.0, self.steps == 3, False, {}

    def render(self):
        return np.zeros((120, 160, 3), np.uint8)


def test_the_return_is_that_so_far_and_an_ended_episode_ends_the_film():
    frames = list(film_episode(Counted(), lambda observation, reward: np.zeros(1), None, 10))
    assert len(frames) == 4
    for steps, frame in enumerate(frames):
        black = np.zeros((120, 160, 3), np.uint8)
        np.testing.assert_array_equal(frame, annotated(black, episode_text(None, steps, float(steps))))


def test_of_two_films_the_shorter_one_stands_still():
    films = list(side_by_side(counting([10, 20]), counting([30, 40, 50]), ("a", "b")))
    assert [frame.shape for frame in films] == [(120, 320, 3)] * 3
    middle = [(int(frame[60, 80, 0]), int(frame[60, 240, 0])) for frame in films]
    assert middle == [(10, 30), (20, 40), (20, 50)]
    captioned = (films[0][:20, :160] != 10).any(), (films[0][40:, :160] != 10).any()
    assert captioned == (True, False)


@pytest.mark.filterwarnings("ignore:.*The environment is being initialised with render_mode")
def test_environments_that_cannot_be_filmed_are_named(small_config):
    config = small_config()
    with pytest.raises(metarl.ConfigError, match=r"PointNavigation.*colour"):
        make_filmed(config.environment.id, {"colour": 1})
    blind = replace(config, environment=EnvironmentConfig(id="tests/Drift-v0", horizon=5))
    with pytest.raises(metarl.ConfigError, match=r"tests/Drift-v0: .*render_mode"):
        film(blind, lambda observation, reward: np.zeros(1, np.float32), {"velocity": 0.5})
    unseen = Counted()
    unseen.render, unseen.spec = lambda: None, EnvSpec("tests/Unseen-v0")
    with pytest.raises(
        metarl.ConfigError, match=r"^tests/Unseen-v0: expected render to give \[height, width, 3\], got None"
    ):
        next(film_episode(unseen, lambda observation, reward: np.zeros(1), None, 10))


def test_an_environment_that_takes_no_size_has_its_pictures_scaled_to_it():
    env = make_filmed("tests.support.tiny_envs:tests/Pictured-v0", {}, SIZE)
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (120, 160, 3)
    assert (picture[:, 20:140] == (255, 0, 0)).all()
    assert not picture[:, :20].any()
    assert not picture[:, 140:].any()


def test_a_module_that_an_id_names_and_that_is_not_there_is_told():
    with pytest.raises(metarl.ConfigError, match=r"nowhere:Env-v0: No module named 'nowhere'"):
        make_filmed("nowhere:Env-v0", {}, SIZE)
