"""Half-cheetah families on Gymnasium's HalfCheetah-v5 body.

Observation (17): joint positions without the torso's x, then joint velocities; m, rad, m/s, rad/s. With
`observe_torso` the torso's position follows (20), as in PEARL's code.
The forward velocity is the torso's displacement over the environment step (0.05 s); with preset "maml",
that of the whole body's centre of mass. Episodes end by the time limit only. Starts as Gymnasium's:
positions U[-0.1, 0.1], velocities 0.1 N(0, 1).

The control cost 0.05 |control|^2 is rllab's half-cheetah (1e-1 * 0.5), which MAML (cbfinn/maml_rl,
half_cheetah_env_rand*.py), ProMP (half_cheetah_rand_*.py) and PEARL (oyster, half_cheetah_*.py) kept.

Where the originals differ, and the presets leave things as they are here:
- "maml", on rllab and MuJoCo 1.31: the same body, but an action lasts one physics step of 0.01 s, so that
  200 steps are 2 s (here 10 s), and the velocity is that at its end; positions start at 0.01 N(0, 1);
  the centre of mass is observed too (20);
- "promp", run_scripts/*_run_mujoco.py: 100 steps per episode and actions in [-10, 10], which here are
  `max_episode_steps` and `action_scale`;
- "pearl": the torso's position is observed, which here is `observe_torso`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import mujoco
import numpy as np

from metarl_envs.arguments import is_number, told
from metarl_envs.families.locomotion import (
    Progress,
    at_velocity,
    control_cost,
    in_direction,
    mujoco_family,
    positions_and_velocities,
    torso,
    velocity,
)
from metarl_envs.family import Family, Observed, State, choose_preset
from metarl_envs.physics.mujoco_models import load_gymnasium_model
from metarl_envs.task_parameters import Array, Choice, Uniform
from metarl_envs.tasks import Tasks, TaskSpace

_ASSET = "half_cheetah.xml"
_DT = 0.05
_CONTROL_COST = 0.05
_REST_HEIGHT = 0.7  # of the torso, m
Place = Callable[[State], Array]
"""What the velocity is of: state -> [env, 2] in m."""


def half_cheetah_vel(
    preset: str | None = None,
    *,
    max_velocity: float | None = None,
    observe_torso: bool = False,
    action_scale: float = 1.0,
) -> Family:
    """Run forward at a commanded velocity (Finn et al. 2017, section 5.3).

    Task: `velocity` in m/s, U[0, 3] as in ProMP's and PEARL's code; preset "maml" U[0, 2].
    Reward: -|v - velocity| (`reward_velocity`) - 0.05 |control|^2 (`reward_control`); with preset "maml" v
    is the centre of mass's.

    Raises:
        ValueError: an unknown preset, or a bound that is not positive.
    """
    usual = 3.0, torso
    presets = {"maml": (2.0, _centre_of_mass()), "promp": usual, "pearl": usual}
    high, place = choose_preset("HalfCheetahVel", presets, preset, default=usual)
    high = high if max_velocity is None else max_velocity
    if not is_number(high) or not 0 < high <= mujoco.mjMAXVAL:
        raise ValueError(f"HalfCheetahVel: expected a finite max_velocity > 0, got {told(high)}")
    task_space = TaskSpace({"velocity": Uniform(0.0, high, default=high / 2)})
    return _half_cheetah(task_space, at_velocity, place, observe_torso, action_scale)


def half_cheetah_dir(
    preset: str | None = None, *, observe_torso: bool = False, action_scale: float = 1.0
) -> Family:
    """Run forward or backward as fast as possible (Finn et al. 2017, section 5.3).

    Task: `direction`, +1 or -1. Reward: direction * v (`reward_direction`) - 0.05 |control|^2
    (`reward_control`). Presets: "maml", with the centre of mass's v; "promp" and "pearl" (no change).

    Raises:
        ValueError: an unknown preset.
    """
    presets = {"maml": _centre_of_mass(), "promp": torso, "pearl": torso}
    place = choose_preset("HalfCheetahDir", presets, preset, default=torso)
    task_space = TaskSpace({"direction": Choice((-1.0, 1.0), default=1.0)})
    return _half_cheetah(task_space, in_direction, place, observe_torso, action_scale)


def _half_cheetah(
    task_space: TaskSpace, progress: Progress, place: Place, observe_torso: bool, action_scale: float
) -> Family:
    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        speed = velocity(place(before), place(after), _DT)
        return {**progress(speed, tasks), **control_cost(_CONTROL_COST, control)}

    return mujoco_family(
        _ASSET,
        task_space=task_space,
        frame_skip=5,
        position_noise=0.1,
        velocity_noise=0.1,
        normal_velocities=True,
        observation_size=20 if observe_torso else 17,
        observation=_observation_with_torso if observe_torso else partial(positions_and_velocities, skip=1),
        reward_terms=reward_terms,
        action_scale=action_scale,
        observed=Observed(velocity=(8,)),
    )


def _observation_with_torso(state: State) -> Array:
    x, z = state.qpos[:, 0], _REST_HEIGHT + state.qpos[:, 1]
    torso = np.stack((x, np.zeros_like(x), z), axis=-1)
    return np.concatenate((positions_and_velocities(state, skip=1), torso), axis=-1)


def _centre_of_mass() -> Place:
    """The whole body's x, and y = 0, from the joints: asking MuJoCo would cost a pass over every state.

    Every link's own mass and what hangs on it act on a lever that turns with the link.
    """
    model = load_gymnasium_model(_ASSET)
    levers = model.body_mass[:, None] * model.body_ipos
    for body in range(2, model.nbody):
        levers[model.body_parentid[body]] += model.body_subtreemass[body] * model.body_pos[body]
    x, _, z = levers[1:].T[..., None] / model.body_subtreemass[1]
    length, phase, parents = np.hypot(x, z), np.arctan2(z, x), model.body_parentid[1:] - 1

    def place(state: State) -> Array:
        angles = state.qpos[:, 2:].T.copy()  # [link, env], each relative to its parent's
        for link in range(1, len(parents)):
            angles[link] += angles[parents[link]]
        forward = state.qpos[:, 0] + (length * np.cos(angles - phase)).sum(0)
        return np.stack((forward, np.zeros_like(forward)), axis=-1)

    return place
