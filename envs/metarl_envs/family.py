"""What defines a task family: data and pure functions on a batch of environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from metarl_envs.arguments import check_at_least, check_callable, check_kind, is_number, real_array, told
from metarl_envs.rendering.scene import Scene
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, TaskSpace

Fields: TypeAlias = Mapping[str, Array]
"""MuJoCo arrays by their names in MjData or MjModel, with a leading environment axis."""
NO_FIELDS: Fields = {}


class State(NamedTuple):
    """Generalised positions and velocities of a batch, [env, nq] and [env, nv], or of one, [nq] and [nv].

    `fields` are derived MjData arrays that a family asked its simulation for, [env, ...].
    """

    qpos: Array
    qvel: Array
    fields: Fields = NO_FIELDS

    def where(self, mask: NDArray[np.bool_], other: State) -> State:
        """This state of the masked environments, the other of the rest; of batches."""
        fields = {name: chosen(mask, values, other.fields[name]) for name, values in self.fields.items()}
        return State(chosen(mask, self.qpos, other.qpos), chosen(mask, self.qvel, other.qvel), fields)


def chosen(mask: NDArray[np.bool_], new: Array, old: Array) -> Array:
    """The new rows of the masked environments, the old ones of the rest; [env, ...]."""
    return np.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)


RewardTerms: TypeAlias = Callable[[State, State, Array, Tasks], dict[str, Array]]


class Simulation(Protocol):
    """N independent simulations, stepped together."""

    def state(self) -> State:
        """A copy of every simulation's state."""
        ...

    def write(self, mask: NDArray[np.bool_], state: State, physics: Fields = NO_FIELDS) -> None:
        """Resets the masked simulations to the states given for them, [masked, ...].

        `physics` are MjModel arrays that become theirs first, [masked, ...].
        """
        ...

    def step(self, control: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Advances the masked simulations one environment step; returns which of them diverged, [env]."""
        ...


class Observed(NamedTuple):
    """Which numbers of an observation tell a body's motion, by their indices; empty where none do.

    Args:
        place: x and y, m.
        velocity: along x and, of a body that is not planar, y, m/s.
    """

    place: tuple[int, ...] = ()
    velocity: tuple[int, ...] = ()


NOTHING_OBSERVED = Observed()


def nothing_more(state: State, tasks: Tasks) -> dict[str, Array]:
    """For families without diagnostics."""
    return {}


@dataclass(frozen=True)
class Family:
    """A task family, defined once for a batch; the single environment is a batch of one.

    Args:
        task_space: the tasks.
        observation_size: length of one observation.
        control_low, control_high: actuator range, [control]; actions are mapped onto it.
        dt: seconds per environment step.
        simulation: (number of environments, number of threads or 0 for all) -> simulation.
        initial_state: draws one environment's start from its generator.
        observation: state -> [env, observation].
        reward_terms: (state before, state after, applied control, tasks) -> named terms, [env] each;
            the reward is their sum.
        terminated: (state after, tasks) -> [env].
        physics: for tasks that change the simulated body: tasks -> MjModel arrays, [env, ...]. Such a
            task takes effect at the next reset; without `physics`, tasks act through the reward at once.
        info: (state after, tasks) -> named diagnostics for the step's info, [env] each.
        action_scale: half-width of the policy's action box; 10 makes a policy with unit standard
            deviation explore as in code that normalises actions to [-10, 10].
        scene: how it is drawn; None for a family without pictures.
        observe_task: append the task to every observation, as `TaskSpace.pack` writes it.
        observed: where an observation tells place and velocity, for pictures.

    Raises:
        TypeError: no task space, or no function where one is expected.
        ValueError: a size, range, time or scale that is no finite number, or not positive.
    """

    task_space: TaskSpace
    observation_size: int
    control_low: Array
    control_high: Array
    dt: float
    simulation: Callable[[int, int], Simulation]
    initial_state: Callable[[np.random.Generator], State]
    observation: Callable[[State], Array]
    reward_terms: RewardTerms
    terminated: Callable[[State, Tasks], NDArray[np.bool_]]
    physics: Callable[[Tasks], Fields] | None = None
    info: Callable[[State, Tasks], dict[str, Array]] = nothing_more
    action_scale: float = 1.0
    scene: Scene | None = None
    observe_task: bool = False
    observed: Observed = NOTHING_OBSERVED

    def __post_init__(self) -> None:
        check_kind(TaskSpace, "a TaskSpace", task_space=self.task_space)
        check_callable(**{name: getattr(self, name) for name in _FUNCTIONS})
        check_at_least(1, observation_size=self.observation_size)
        check_kind(np.ndarray, "an array", control_low=self.control_low, control_high=self.control_high)
        expected = "control_low: expected an array [control] of finite numbers"
        shape = real_array(expected, self.control_low, lambda given: given.ndim == 1).shape
        expected = f"control_high: expected finite numbers of control_low's shape {shape}"
        real_array(expected, self.control_high, lambda given: given.shape == shape)
        if not is_number(self.dt) or self.dt <= 0:
            raise ValueError(f"dt: expected seconds > 0, got {told(self.dt)}")
        if not is_number(self.action_scale) or not 0 < self.action_scale <= _MOST_SCALE:
            raise ValueError(f"expected a finite action_scale > 0, got {told(self.action_scale)}")
        object.__setattr__(self, "action_scale", float(self.action_scale))

    @property
    def observation_space(self) -> Box:
        told = self.task_space.packed_size if self.observe_task else 0
        return Box(-np.inf, np.inf, (self.observation_size + told,), np.float64)

    @property
    def action_space(self) -> Box:
        """The policy's box; `control` maps it onto the actuator range."""
        return Box(-self.action_scale, self.action_scale, (len(self.control_low),), np.float32)

    def observe(self, state: State, tasks: Tasks) -> Array:
        """What a policy observes, [env, observation]."""
        seen = self.observation(state)
        return np.concatenate([seen, self.task_space.pack(tasks)], axis=1) if self.observe_task else seen

    def control(self, actions: Array) -> Array:
        """Clips actions to the policy's box, then maps the box onto the actuator range; [env, control]."""
        centre = (self.control_high + self.control_low) / 2
        half_range = (self.control_high - self.control_low) / 2
        clipped = np.clip(actions, -self.action_scale, self.action_scale)
        control: Array = centre + half_range * (clipped / self.action_scale)
        return control


def never_terminated(state: State, tasks: Tasks) -> NDArray[np.bool_]:
    """For families whose episodes only end by the time limit."""
    return np.zeros(len(state.qpos), dtype=np.bool_)


_FUNCTIONS = ("simulation", "initial_state", "observation", "reward_terms", "terminated", "info")

_MOST_SCALE = float(np.finfo(np.float32).max)

Settings = TypeVar("Settings")


def choose_preset(
    family: str, presets: Mapping[str, Settings], preset: str | None, default: Settings
) -> Settings:
    """The preset's settings, or the default ones without a preset.

    Raises:
        ValueError: the family has no such preset; the message lists those that exist.
    """
    if preset is None:
        return default
    if not isinstance(preset, str) or preset not in presets:
        raise ValueError(f"{family}: expected preset to be one of {sorted(presets)}, got {told(preset)}")
    return presets[preset]
