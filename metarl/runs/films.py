"""Films of episodes: frames with the task, the step and the return so far, and the way on a plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from metarl_envs.foreign.adapters import apply_task
from metarl_envs.rendering.frames import Frame, FrameRenderer
from metarl_envs.rendering.scene import Scene
from metarl_envs.single_env import TaskEnv
from metarl_envs.task_parameters import Array
from PIL import Image, ImageOps

from metarl.errors import ConfigError
from metarl.experiment.experiments import CommonConfig
from metarl.runs.acting import ActingPolicy
from metarl.runs.captions import annotated, episode_text
from metarl.runs.remembered_actions import State

Act = Callable[[Any, float | None], Any]
"""(observation, reward of the step before; None at the first one) -> action."""
_TASK_ENV = f"{TaskEnv.__module__}:{TaskEnv.__qualname__}"
"""`entry_point` of every family."""


def film(
    config: CommonConfig,
    act: Act,
    task: Mapping[str, Any] | None,
    *,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    every: int = 1,
) -> list[Frame]:
    """One episode in an environment of its own: frames at its start, every k-th step and its end.

    Args:
        config: of the run; its environment and horizon count.
        act: (observation, reward of the step before) -> action.
        task: None for the environment's own.
        seed: of the episode's start.
        size: width and height in pixels; None for the environment's.
        every: environment steps between frames.

    Raises:
        ConfigError: the environment cannot be had, or draws no pictures.
        DependencyNotInstalled: there is no OpenGL; the message says what to set and to install.
    """
    env = make_filmed(config.environment.id, config.environment.options, size)
    with closing(env):
        return list(film_episode(env, act, task, config.environment.horizon, seed=seed, every=every))


def make_filmed(
    env_id: str, options: Mapping[str, Any], size: tuple[int, int] | None = None
) -> gymnasium.Env[Any, Any]:
    """An environment that draws pictures.

    Args:
        size: width and height in pixels; the pictures of an environment that is not one of metarl's are
            scaled to it, and keep their proportions between black bars.

    Raises:
        ConfigError: it cannot be had, does not take the options or draws no pictures.
    """
    module, _, name = env_id.rpartition(":")
    try:
        if module:
            import_module(module)
        spec = gymnasium.registry.get(name)
        own = spec is not None and spec.entry_point == _TASK_ENV
        pixels: dict[str, Any] = dict(zip(("width", "height"), size, strict=True)) if size and own else {}
        env = gymnasium.make(env_id, render_mode="rgb_array", **options, **pixels)
        return env if size is None or own else _Scaled(env, size)
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError(f"{env_id}: {error}") from error


def mean_action(policy: ActingPolicy) -> Act:
    """Takes the policy's mean actions in one episode; one with memory remembers its steps."""
    state: State | None = None

    def act(observation: Any, reward: float | None) -> Any:
        nonlocal state
        action, state = policy.predict(observation, state, deterministic=True, reward=reward)
        return action

    return act


def frames_per_second(env: gymnasium.Env[Any, Any]) -> float:
    """The rate at which the environment's steps are played."""
    return float(env.metadata.get("render_fps", 30))


def film_episode(
    env: gymnasium.Env[Any, Any],
    act: Act,
    task: Mapping[str, Any] | None,
    length: int,
    *,
    seed: int = 0,
    every: int = 1,
    progress: Callable[[], object] = lambda: None,
) -> Iterator[Frame]:
    """As `film`, frame by frame, in a given environment: at most so many steps of one episode.

    Args:
        progress: called after every step.
    """
    options = apply_task(env, task) if task else None
    observation, info = env.reset(seed=seed, options=options)
    shown = task if task is not None else info.get("task")
    gained, over = 0.0, False
    paid: float | None = None
    with closing(_camera(env)) as camera:
        yield annotated(camera.picture(), episode_text(shown, 0, gained))
        for step in range(1, length + 1):
            observation, reward, terminated, truncated, _ = env.step(act(observation, paid))
            paid = float(reward)
            gained += paid
            camera.follow()
            over = terminated or truncated or step == length
            progress()
            if over or step % every == 0:
                yield annotated(camera.picture(), episode_text(shown, step, gained))
            if over:
                return


class _Scaled(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Scales the pictures of an environment that has a size of its own."""

    def __init__(self, env: gymnasium.Env[Any, Any], size: tuple[int, int]) -> None:
        super().__init__(env)
        self._size = size

    def render(self) -> Any:
        return np.asarray(ImageOps.pad(Image.fromarray(_rendered(self.env)), self._size))


def _rendered(env: gymnasium.Env[Any, Any]) -> Frame:
    drawn = env.render()
    if not isinstance(drawn, np.ndarray) or drawn.ndim != 3:
        name = env.spec.id if env.spec else env
        raise ConfigError(f"{name}: expected render to give [height, width, 3], got {drawn!r:.80}")
    return np.asarray(drawn, dtype=np.uint8)


class _Camera:
    """Draws an environment in its present state, by its own `render`."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env

    def follow(self) -> None:
        """Takes in where the body is."""

    def picture(self) -> Frame:
        return _rendered(self._env)

    def close(self) -> None:
        """What is open is the environment's."""


class _TrailCamera(_Camera):
    """Draws one of metarl's own, with the way of a body on a plane."""

    def __init__(self, env: TaskEnv, scene: Scene) -> None:
        self._task_env = env
        self._renderer = FrameRenderer(scene, *env.frame_size)
        self._trail: list[Array] = []
        self.follow()

    def follow(self) -> None:
        place = self._renderer.place(*self._task_env.current())
        self._trail += [] if place is None else [place]

    def picture(self) -> Frame:
        return self._renderer.frame(*self._task_env.current(), self._trail)

    def close(self) -> None:
        self._renderer.close()


def _camera(env: gymnasium.Env[Any, Any]) -> _Camera:
    own = env.unwrapped
    if isinstance(env, _Scaled) or not isinstance(own, TaskEnv) or own.scene is None:
        return _Camera(env)
    return _TrailCamera(own, own.scene)
