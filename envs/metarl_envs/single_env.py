"""The single environment: a batch of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from numpy.typing import NDArray

from metarl_envs.arguments import as_array, check_seed
from metarl_envs.family import State
from metarl_envs.rendering.frames import Frame, checked_render_mode
from metarl_envs.rendering.scene import Scene
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Task, TaskSpace, unstack_tasks
from metarl_envs.vector_env import VectorTaskEnv


class TaskEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """One environment of a task family; what `gymnasium.make` returns, inside its `TimeLimit`.

    Seeded with s it equals environment i of a batch seeded with s - i, bit for bit. A copy, by
    `copy.deepcopy` or pickled, has its task and generator, and begins with `reset`.

    Args:
        family: the family's registered name.
        render_mode: "rgb_array" for pictures from `render`, "human" for a window, or None.
        width, height: of a picture or the window, pixels.
        options: the family's own, e.g. `preset` and `action_scale`.
    """

    metadata = {"render_modes": ["human", "rgb_array"]}  # noqa: RUF012 (Gymnasium's)
    _window: Any = None

    def __init__(
        self, family: str, render_mode: str | None = None, width: int = 640, height: int = 480, **options: Any
    ) -> None:
        if "autoreset_mode" in options:
            raise ValueError("expected no autoreset_mode: a single environment is reset by its user")
        frames = "rgb_array" if isinstance(render_mode, str) and render_mode == "rgb_array" else None
        options |= {"render_mode": frames, "width": width, "height": height, "autoreset_mode": "Disabled"}
        self._batch = VectorTaskEnv(1, num_threads=1, family=family, **options)
        self.frame_size = (width, height)
        modes = ["human", "rgb_array"] if self._batch.family.scene else []
        self.metadata = {"render_modes": modes, "render_fps": self._batch.metadata["render_fps"]}
        self.render_mode = checked_render_mode(render_mode, self.metadata["render_modes"])
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space

    def __getstate__(self) -> dict[str, Any]:
        """All but the window, which a copy opens for itself."""
        return {**self.__dict__, "_window": None}

    @property
    def task_space(self) -> TaskSpace:
        return self._batch.family.task_space

    @property
    def scene(self) -> Scene | None:
        """How it is drawn; None of a family without pictures."""
        return self._batch.family.scene

    def current(self) -> tuple[State, Task]:
        """The state, [nq] and [nv], and the task in force.

        Raises:
            RuntimeError: called before `reset`.
        """
        return self._batch.current(0)

    def sample_tasks(self, n: int) -> list[Task]:
        """Draws n tasks from the task space with this environment's generator.

        Raises:
            ValueError: n is no integer > 0.
        """
        return self._batch.sample_tasks(n)

    def set_task(self, task: Mapping[str, Any]) -> None:
        """Sets the task: a reward changes with the next step, a body's physics with the next reset.

        Raises:
            ValueError: a task outside the task space.
        """
        self._batch.set_tasks([task])

    def get_task(self) -> Task:
        """A copy of the task."""
        return next(unstack_tasks(self._batch.get_tasks()))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; `options["task"]` sets the task first.

        Raises:
            ValueError: a seed that is no integer >= 0, an unknown option, or a task outside the task space.
        """
        check_seed(seed)
        super().reset(seed=seed)
        self._batch.seed_task_sampling(seed)
        self._batch.generators[0] = self.np_random
        observation, _ = self._batch.reset(options=options)
        if self.render_mode == "human":
            self._show()
        return observation[0], {"task": self.get_task()}

    def step(
        self, action: NDArray[np.floating[Any]]
    ) -> tuple[Array, SupportsFloat, bool, bool, dict[str, Any]]:
        """Steps the environment; `info` is the batch's, without its leading axis.

        Raises:
            RuntimeError: called before `reset`.
            ValueError: an action of another shape, or not of finite real numbers.
        """
        observation, reward, terminated, truncated, info = self._batch.step(as_array(action)[None])
        if self.render_mode == "human":
            self._show()
        single = {name: value[0].item() for name, value in info.items() if name[0] != "_" and name != "task"}
        return (
            observation[0],
            float(reward[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            {**single, "task": next(unstack_tasks(info["task"]))},
        )

    def render(self) -> Frame | None:
        """The picture, [height, width, 3], with render mode "rgb_array"; else None: a window draws itself.

        Raises:
            DependencyNotInstalled: there is no OpenGL; the message says what to set and to install.
        """
        if self.render_mode == "human":
            return None
        frames = self._batch.render()
        return frames[0] if frames else None

    def close(self) -> None:
        """Closes the window, or frees the pictures' OpenGL context."""
        if self._window is not None:
            self._window.close()
        self._window = None
        self._batch.close()

    def _show(self) -> None:
        from metarl_envs.rendering.window import Window  # needs OpenGL, as nothing else here does

        if self._window is None and self.scene is not None:
            self._window = Window(self.scene, *self.frame_size, self.metadata["render_fps"])
        self._window.draw(*self.current())
