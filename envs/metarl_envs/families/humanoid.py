"""The humanoid family on Gymnasium's Humanoid-v5 body.

Observation (348, as Humanoid-v5): positions without the root's x and y (22), velocities (23), and for
every body its inertia about the centre of mass (130), its velocity (78) and the contact force on it
(78), with the actuators' joint forces (17) before the last. Starts as Gymnasium's: U[-0.01, 0.01] on
positions and velocities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metarl_envs.families.locomotion import (
    along_heading,
    centre_of_mass,
    control_cost,
    healthy,
    mujoco_family,
    outside,
    velocity,
)
from metarl_envs.family import Family, Observed, State, choose_preset
from metarl_envs.plane_parameters import Heading
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks, TaskSpace

_DT = 0.015
_HEADING_WEIGHT = 1.25
_CONTROL_COST = 0.1
_HEALTHY = 5.0
_HEIGHTS = (1.0, 2.0)
_CONTACT_COST, _MAX_CONTACT_COST = 5e-7, 10.0
_ROOT_DEGREES = 6


def humanoid_dir_2d(preset: str | None = None, *, action_scale: float = 1.0) -> Family:
    """Walk along a heading as fast as possible (Rothfuss et al. 2019; Rakelly et al. 2019).

    Task: `heading` in rad, U[0, 2 pi). Reward, as ProMP's humanoid_rand_direc_2d.py and gym's Humanoid:
    1.25 x the velocity of the centre of mass along the heading (its 0.25 per physics step of 0.003 s;
    `reward_heading`) + 5 (`reward_healthy`) - 0.1 |control|^2 (`reward_control`)
    - min(5e-7 |contact forces|^2, 10) (`reward_contact`). Ends when the root's height leaves [1, 2] m.
    Presets: "promp", whose run scripts take `max_episode_steps` 100 and `action_scale` 10; "pearl" (oyster,
    humanoid_dir.py) without the contact cost, which was always zero in its MuJoCo 2.0.

    Raises:
        ValueError: an unknown preset.
    """
    contact = choose_preset("HumanoidDir2D", {"promp": True, "pearl": False}, preset, default=True)

    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        speed = velocity(centre_of_mass(before), centre_of_mass(after), _DT)
        terms = {
            "reward_heading": _HEADING_WEIGHT * along_heading(speed, tasks)["reward_heading"],
            **healthy(_HEALTHY, control),
            **control_cost(_CONTROL_COST, control),
        }
        if contact:
            cost = _CONTACT_COST * np.square(after.fields["cfrc_ext"]).sum((-2, -1))
            terms["reward_contact"] = -np.minimum(cost, _MAX_CONTACT_COST)
        return terms

    return mujoco_family(
        "humanoid.xml",
        task_space=TaskSpace({"heading": Heading()}),
        frame_skip=5,
        position_noise=0.01,
        velocity_noise=0.01,
        normal_velocities=False,
        observation_size=348,
        observation=_observation,
        reward_terms=reward_terms,
        terminated=_terminated,
        fields=("subtree_com", "cinert", "cvel", "qfrc_actuator", "cfrc_ext"),
        action_scale=action_scale,
        observed=Observed(velocity=(22, 23)),
    )


def _terminated(state: State, tasks: Tasks) -> NDArray[np.bool_]:
    return outside(state.qpos[:, 2], *_HEIGHTS)


def _observation(state: State) -> Array:
    envs, fields = len(state.qpos), state.fields
    bodies = [fields[name][:, 1:].reshape(envs, -1) for name in ("cinert", "cvel", "cfrc_ext")]
    inertia, motion, contact = bodies
    forces = fields["qfrc_actuator"][:, _ROOT_DEGREES:]
    return np.concatenate((state.qpos[:, 2:], state.qvel, inertia, motion, forces, contact), axis=-1)
