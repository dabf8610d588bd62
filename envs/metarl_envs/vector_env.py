"""The batched environment: N environments of one family, each with its own task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import logger
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from metarl_envs.arguments import check_at_least, check_seed
from metarl_envs.episode_clock import EpisodeClock
from metarl_envs.family import State, chosen
from metarl_envs.registration import build_family
from metarl_envs.rendering.frames import Frame, FrameRenderer, checked_render_mode, frames_per_second
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Task, Tasks, stack_tasks, unstack_tasks
from metarl_envs.vector_arguments import (
    Bools,
    checked_actions,
    checked_autoreset_mode,
    checked_reset_mask,
    checked_reset_options,
    final_info,
    masked,
    one_seed_each,
    one_task_each,
)

_MOST_THREADS = 4096
_MOST_PIXELS = 16384  # OpenGL's usual limit of an image's side


class VectorTaskEnv(VectorEnv[Array, NDArray[np.floating[Any]], NDArray[Any]]):
    """N environments of one task family, simulated together; what `gymnasium.make_vec` returns.

    A finished environment is reset in place of its next step, whose action is not used and whose reward
    is 0: Gymnasium's usual "NextStep". "SameStep" resets it at once and gives the last observation as
    `info["final_obs"]`. With "Disabled" it is held, not stepped, until it is reset with Gymnasium's
    `options["reset_mask"]`: its observation and flags stay, its reward is 0.

    A copy, by `copy.deepcopy` or pickled, has the arguments, tasks and random generators, and begins with
    `reset`, as copies of Gymnasium's own environments do.

    Args:
        num_envs: number of environments.
        family: the family's registered name.
        max_episode_steps: steps after which an episode is truncated; None for never.
        num_threads: simulation threads, 0 for one per CPU; results do not depend on it.
        autoreset_mode: "NextStep", "SameStep" or "Disabled".
        render_mode: "rgb_array" for pictures from `render`, or None.
        width, height: of a picture, pixels.
        options: the family's own, e.g. `preset`, `action_scale` and `observe_task`.

    Raises:
        ValueError: an argument outside its range; the message names it.
    """

    _renderer: FrameRenderer | None = None

    def __init__(
        self,
        num_envs: int,
        family: str,
        max_episode_steps: int | None = None,
        num_threads: int = 0,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        width: int = 640,
        height: int = 480,
        **options: Any,
    ) -> None:
        simulated = num_envs, family, max_episode_steps, num_threads, autoreset_mode
        self._arguments = (*simulated, render_mode, width, height), options
        check_at_least(1, num_envs=num_envs)
        check_at_least(1, _MOST_PIXELS, width=width, height=height)
        check_at_least(0, _MOST_THREADS, num_threads=num_threads)
        if max_episode_steps is not None:
            check_at_least(1, max_episode_steps=max_episode_steps)
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        self.family = build_family(family, options)
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.metadata = {
            "autoreset_mode": self.autoreset_mode,
            "render_modes": ["rgb_array"] if self.family.scene else [],
            "render_fps": frames_per_second(self.family),
        }
        self.render_mode = checked_render_mode(render_mode, self.metadata["render_modes"])
        self._frame_size = (width, height)
        self.single_observation_space = self.family.observation_space
        self.single_action_space = self.family.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._simulation = self.family.simulation(num_envs, num_threads)
        self.generators = [np.random.default_rng() for _ in range(num_envs)]
        self._tasks = self._tasks_in_force = stack_tasks([self.family.task_space.default] * num_envs)
        self._clock = EpisodeClock(num_envs)
        self._state: State | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        kept = ("generators", "_tasks", "_tasks_in_force", "_np_random", "_np_random_seed")
        return _begun_anew, (type(self), *self._arguments), {name: getattr(self, name) for name in kept}

    @property
    def state(self) -> State:
        """Positions and velocities, [env, ...]; not to be written to.

        Raises:
            RuntimeError: asked for before `reset`.
        """
        if self._state is None:
            raise RuntimeError("expected reset() before the first step() or render()")
        return self._state

    def sample_tasks(self, n: int) -> list[Task]:
        """Draws n tasks from the family's task space with this environment's generator.

        Raises:
            ValueError: n is no integer > 0.
        """
        return list(unstack_tasks(self.family.task_space.sample(n, self.np_random)))

    def set_tasks(self, tasks: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> None:
        """Gives every environment its task: one dict per environment, or a dict of arrays [env, ...].

        The reward changes with the next step; the physics of families that have such tasks, with an
        environment's next reset.

        Raises:
            ValueError: another number of tasks than environments, or a task outside the task space.
        """
        self._tasks = one_task_each(self.family.task_space, tasks, self.num_envs)
        if self.family.physics is None:
            self._tasks_in_force = self._tasks

    def seed_task_sampling(self, seed: int | None) -> None:
        """Seeds `sample_tasks`, in a stream of its own; None leaves it as it is.

        Raises:
            ValueError: no integer >= 0.
        """
        check_seed(seed)
        if seed is not None:
            tasks_seed = np.random.SeedSequence(seed).spawn(1)[0]
            self._np_random, self._np_random_seed = np.random.default_rng(tasks_seed), seed

    def get_tasks(self) -> Tasks:
        """A copy of the tasks, [env, ...] each."""
        return {name: values.copy() for name, values in self._tasks.items()}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts new episodes, by default everywhere.

        Args:
            seed: an integer s seeds environment i with s + i; a sequence gives one seed each.
            options: `reset_mask` [env] bool, to reset only those; `tasks`, as `set_tasks` takes them;
                `task`, the same one for all. Tasks are set everywhere, whatever the mask.

        Raises:
            ValueError: a seed, mask or task of the wrong shape or range, an unknown option, or a first
                reset that leaves an environment out.
        """
        options = checked_reset_options(options)
        mask = checked_reset_mask(options, self.num_envs)
        if self._state is None and not mask.all():
            raise ValueError(f"expected the first reset to be of all environments, got reset_mask {mask}")
        seeds = one_seed_each(seed, self.num_envs)
        if "task" in options:
            self.set_tasks([options["task"]] * self.num_envs)
        if "tasks" in options:
            self.set_tasks(options["tasks"])
        self.seed_task_sampling(seeds[0])
        for i in np.flatnonzero(mask):
            if seeds[i] is not None:
                self.generators[i], _ = seeding.np_random(seeds[i])
        return self._observe(self._start_episodes(mask)), self._task_info(mask)

    def step(self, actions: NDArray[np.floating[Any]]) -> tuple[Array, Array, Bools, Bools, dict[str, Any]]:
        """Steps every environment whose episode is not over.

        `info` has the reward's named terms, the `task` in force, and `diverged`: the simulation is no
        longer finite, so that the episode was terminated and keeps its last finite observation.

        Raises:
            RuntimeError: called before `reset`.
            ValueError: actions of another shape, or not finite.
        """
        before, tasks = self.state, self._tasks_in_force
        over = self._clock.over
        active = ~over
        control = self.family.control(checked_actions(actions, (self.num_envs, len(self.family.control_low))))
        diverged = self._simulation.step(control, active)
        after = self._simulation.state()
        everywhere = active.all() and not diverged.any()
        after = self._state = after if everywhere else after.where(active & ~diverged, before)
        terms = self.family.reward_terms(before, after, control, tasks)
        if not active.all():
            terms = {name: np.where(active, term, 0.0) for name, term in terms.items()}
        reward = np.sum(list(terms.values()), axis=0)
        observation = self._observe(after)
        self._clock.advance(active, self.family.terminated(after, tasks) | diverged, self.max_episode_steps)
        restarts = self.autoreset_mode is AutoresetMode.NEXT_STEP and over.any()
        if restarts:
            observation = self._observe(self._start_episodes(over))
        terminated, truncated = self._clock.terminated.copy(), self._clock.truncated.copy()
        told = {**terms, **self.family.info(after, tasks), "diverged": diverged}
        info = {**self._task_info(active | over if restarts else active), **masked(told, active)}
        finished = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and finished.any():
            ending = final_info(observation, info, finished)
            observation = self._observe(self._start_episodes(finished))
            began = {name: np.where(finished, np.zeros_like(of), of) for name, of in told.items()}
            info = {**self._task_info(active), **masked(began, active & ~finished), **ending}
        return observation, reward, terminated, truncated, info

    def current(self, env: int) -> tuple[State, Task]:
        """One environment's state, [nq] and [nv], and the task in force.

        Raises:
            RuntimeError: called before `reset`.
            ValueError: no number of an environment.
        """
        check_at_least(0, self.num_envs - 1, env=env)
        state = self.state
        task = {name: values[env : env + 1] for name, values in self._tasks_in_force.items()}
        return State(state.qpos[env].copy(), state.qvel[env].copy()), next(unstack_tasks(task))

    def render(self) -> tuple[Frame, ...] | None:
        """One picture per environment, [height, width, 3] each; None without a render mode.

        Raises:
            RuntimeError: called before `reset`.
            DependencyNotInstalled: there is no OpenGL; the message says what to set and to install.
        """
        if self.render_mode is None or self.family.scene is None:
            logger.warn('expected render_mode="rgb_array", got None: nothing is drawn')
            return None
        drawn = [self.current(env) for env in range(self.num_envs)]
        if self._renderer is None:
            self._renderer = FrameRenderer(self.family.scene, *self._frame_size)
        return tuple(self._renderer.frame(state, task) for state, task in drawn)

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the pictures' OpenGL context."""
        if self._renderer is not None:
            self._renderer.close()
        self._renderer = None

    def _observe(self, state: State) -> Array:
        return self.family.observe(state, self._tasks_in_force)

    def _start_episodes(self, mask: Bools) -> State:
        starts = [self.family.initial_state(self.generators[i]) for i in np.flatnonzero(mask)]
        start = State(np.stack([one.qpos for one in starts]), np.stack([one.qvel for one in starts]))
        if self.family.physics is None:
            self._simulation.write(mask, start)
        else:
            physics = self.family.physics({name: values[mask] for name, values in self._tasks.items()})
            self._simulation.write(mask, start, physics)
            old, new = self._tasks_in_force, self._tasks
            self._tasks_in_force = {name: chosen(mask, new[name], old[name]) for name in new}
        self._clock.restart(mask)
        state = self._simulation.state()
        self._state = state if self._state is None else state.where(mask, self._state)
        return self._state

    def _task_info(self, mask: Bools) -> dict[str, Any]:
        tasks = {name: values.copy() for name, values in self._tasks_in_force.items()}
        return {"task": tasks, "_task": mask.copy()}


def _begun_anew(kind: type[VectorTaskEnv], of_all: tuple[Any, ...], options: dict[str, Any]) -> VectorTaskEnv:
    """Of the same arguments, not reset yet."""
    return kind(*of_all, **options)
