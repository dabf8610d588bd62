"""Ant families on Gymnasium's Ant-v5 body.

Observation (27): torso height and orientation, joint positions, then velocities; AntGoal's (29) begins
with the torso's x and y. The velocity is the torso's displacement over the environment step (0.05 s);
with preset "maml", place and velocity are those of the whole body's centre of mass. Starts as
Gymnasium's: positions U[-0.1, 0.1] about the rest at 0.75 m, velocities 0.1 N(0, 1).

An episode ends when the torso's height leaves [0.2, 1] m. Sources of the coefficients:
- no preset: Gymnasium's Ant, healthy 1 and control 0.5, without contact cost;
- "maml": cbfinn/maml_rl, ant_env_rand*.py: healthy 0.05, control 0.5 * 1e-2 on the control relative to
  its range, contact 0.5 * 1e-3 on forces clipped to [-1, 1];
- "promp": ProMP, ant_rand_*.py: healthy 1, control 0.5, contact 0.5 * 1e-3, height in [0, 1];
- "pearl": oyster, ant_dir.py and ant_goal.py: healthy 1, control 0.5, height in [0.2, 1]; its contact
  term was always zero, as MuJoCo 2.0 did not compute those forces.

Where the originals differ, and the presets leave things as they are here:
- "maml", on rllab and MuJoCo 1.31: an action lasts one physics step of 0.02 s, so that 200 steps are 4 s
  (here 10 s), and the velocity is that at its end; episodes start at 0.55 m with the ankles bent by 1 rad,
  positions + 0.01 N(0, 1); contacts are softer (solimp .8 .8 .01); all positions, velocities and contact
  forces, the torso's rotation matrix and the centre of mass are observed (125);
- "promp": the contact forces are observed too (111, AntGoal's 113); run_scripts/*_run_mujoco.py take 100
  steps per episode and actions in [-10, 10], which here are `max_episode_steps` and `action_scale`;
- "pearl": AntGoal's contact forces, always zero, are observed too (113).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from metarl_envs.families.locomotion import (
    Progress,
    along_heading,
    at_velocity,
    centre_of_mass,
    control_cost,
    healthy,
    in_direction,
    mujoco_family,
    outside,
    positions_and_velocities,
    torso,
    velocity,
)
from metarl_envs.family import Family, Observed, State, choose_preset
from metarl_envs.plane_parameters import Disc, Heading
from metarl_envs.task_parameters import Array, Choice, Uniform
from metarl_envs.tasks import Tasks, TaskSpace

_DT = 0.05
_GOAL_DISTANCE = 3.0
TaskTerm = Callable[[Array, Array, Tasks], dict[str, Array]]
"""(place before, place after, [env, 2] in m, tasks) -> the reward's task term by name, [env]."""


@dataclass(frozen=True)
class _Coefficients:
    """Weights of the reward's shared terms; whether place and velocity are those of the whole body's centre
    of mass or of the torso; and the heights, m, between which the episode continues."""

    healthy: float = 1.0
    control: float = 0.5
    contact: float = 0.0
    whole_body: bool = False
    heights: tuple[float, float] | None = (0.2, 1.0)


_GYMNASIUM = _Coefficients()
_MAML = _Coefficients(healthy=0.05, control=0.005, contact=5e-4, whole_body=True)
_PROMP = _Coefficients(contact=5e-4, heights=(0.0, 1.0))


def ant_vel(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk forward at a commanded velocity (Finn et al. 2017, section 5.3).

    Task: `velocity` in m/s, U[0, 3]. Reward: 1 - |v - velocity| (`reward_bonus`, `reward_velocity`) plus
    the shared terms. Presets: "maml".

    Raises:
        ValueError: an unknown preset.
    """
    coefficients = choose_preset("AntVel", {"maml": _MAML}, preset, default=_GYMNASIUM)
    task_space = TaskSpace({"velocity": Uniform(0.0, 3.0, default=1.5)})

    def progress(speed: Array, tasks: Tasks) -> dict[str, Array]:
        return {"reward_bonus": np.ones(len(speed)), **at_velocity(speed, tasks)}

    return _ant(task_space, _moving(progress), coefficients, action_scale)


def ant_dir(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk forward or backward as fast as possible (Finn et al. 2017, section 5.3).

    Task: `direction`, +1 or -1. Reward: direction * v (`reward_direction`) plus the shared terms.
    Presets: "maml", "promp", "pearl".

    Raises:
        ValueError: an unknown preset.
    """
    presets = {"maml": _MAML, "promp": _PROMP, "pearl": _GYMNASIUM}
    coefficients = choose_preset("AntDir", presets, preset, default=_GYMNASIUM)
    task_space = TaskSpace({"direction": Choice((-1.0, 1.0), default=1.0)})
    return _ant(task_space, _moving(in_direction), coefficients, action_scale)


def ant_dir_2d(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk along a heading as fast as possible (Rothfuss et al. 2019; Rakelly et al. 2019).

    Task: `heading` in rad, U[0, 2 pi). Reward: velocity along it (`reward_heading`) plus the shared
    terms. Presets: "promp", "pearl".

    Raises:
        ValueError: an unknown preset.
    """
    presets = {"promp": _PROMP, "pearl": _GYMNASIUM}
    coefficients = choose_preset("AntDir2D", presets, preset, default=_GYMNASIUM)
    return _ant(TaskSpace({"heading": Heading()}), _moving(along_heading), coefficients, action_scale)


def ant_goal(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk to a place (Rothfuss et al. 2019; Rakelly et al. 2019).

    Task: `goal` [x, y] in m, uniform in the disc of radius 3; preset "maml": U[-3, 3]^2.
    Reward: -|x - goal|_1 after the step (`reward_goal`) and control 0.1; episodes never end early.
    Presets: "promp" adds its contact cost, "pearl" (no change), "maml" (cbfinn/maml_rl,
    ant_env_rand_goal.py): + 4 (`reward_bonus`) and its shared terms, ending as the other families do.

    Raises:
        ValueError: an unknown preset.
    """
    reaching = _Coefficients(healthy=0.0, control=0.1, heights=None)
    presets = {"maml": _MAML, "promp": replace(reaching, contact=5e-4), "pearl": reaching}
    coefficients = choose_preset("AntGoal", presets, preset, default=reaching)
    bonus = 4.0 if preset == "maml" else 0.0
    low, high, default = (-_GOAL_DISTANCE,) * 2, (_GOAL_DISTANCE,) * 2, (1.0, 1.0)
    box, disc = Uniform(low, high, default=default), Disc(_GOAL_DISTANCE, default=default)

    def reach(before: Array, after: Array, tasks: Tasks) -> dict[str, Array]:
        near = {"reward_goal": -np.abs(after - tasks["goal"]).sum(-1)}
        return {**near, "reward_bonus": np.full(len(after), bonus)} if bonus else near

    family = _ant(TaskSpace({"goal": box if preset == "maml" else disc}), reach, coefficients, action_scale)
    return replace(
        family,
        observation_size=29,
        observation=partial(positions_and_velocities, skip=0),
        observed=Observed((0, 1), (15, 16)),
    )


def _ant(
    task_space: TaskSpace, task_term: TaskTerm, coefficients: _Coefficients, action_scale: float
) -> Family:
    place = centre_of_mass if coefficients.whole_body else torso
    used = {"cfrc_ext": coefficients.contact, "subtree_com": coefficients.whole_body}

    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        terms = task_term(place(before), place(after), tasks)
        terms |= control_cost(coefficients.control, control)
        if coefficients.healthy:
            terms |= healthy(coefficients.healthy, control)
        if coefficients.contact:
            forces = np.clip(after.fields["cfrc_ext"], -1.0, 1.0)
            terms["reward_contact"] = -coefficients.contact * np.square(forces).sum((-2, -1))
        return terms

    def terminated(state: State, tasks: Tasks) -> NDArray[np.bool_]:
        heights = coefficients.heights or (-np.inf, np.inf)
        return outside(state.qpos[:, 2], *heights)

    return mujoco_family(
        "ant.xml",
        task_space=task_space,
        frame_skip=5,
        position_noise=0.1,
        velocity_noise=0.1,
        normal_velocities=True,
        observation_size=27,
        observation=partial(positions_and_velocities, skip=2),
        reward_terms=reward_terms,
        terminated=terminated,
        fields=[name for name, use in used.items() if use],
        action_scale=action_scale,
        observed=Observed(velocity=(13, 14)),
    )


def _moving(progress: Progress) -> TaskTerm:
    return lambda before, after, tasks: progress(velocity(before, after, _DT), tasks)
