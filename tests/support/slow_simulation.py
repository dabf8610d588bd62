"""A slow, plain simulation of Gymnasium's bodies: what the families are compared with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib import resources

import gymnasium
import mujoco
import numpy as np

from tests.support.trajectories import first_end, play


@dataclass(frozen=True)
class Step:
    """One environment step: the state it leads to, where it came from, the forces in its last substep."""

    control: np.ndarray
    qpos_before: np.ndarray
    qpos: np.ndarray
    qvel: np.ndarray
    before: mujoco.MjData
    after: mujoco.MjData
    last_substep: mujoco.MjData


def gymnasium_asset(name: str) -> mujoco.MjModel:
    folder = resources.files("gymnasium") / "envs" / "mujoco" / "assets"
    return mujoco.MjModel.from_xml_path(str(folder / name))


def started(model, seed, position_noise, velocity_noise, normal_velocities=False) -> mujoco.MjData:
    """At rest with Gymnasium's noise."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    data = mujoco.MjData(model)
    data.qpos[:] = model.qpos0 + generator.uniform(-position_noise, position_noise, model.nq)
    if normal_velocities:
        data.qvel[:] = velocity_noise * generator.standard_normal(model.nv)
    else:
        data.qvel[:] = generator.uniform(-velocity_noise, velocity_noise, model.nv)
    mujoco.mj_forward(model, data)
    return data


def current(model, data) -> mujoco.MjData:
    """A copy with everything that follows from positions and velocities, and the contact forces."""
    copied = copy.copy(data)
    mujoco.mj_forward(model, copied)
    mujoco.mj_rnePostConstraint(model, copied)
    return copied


def mass_centre(model, data) -> np.ndarray:
    """Of all bodies: their own centres, weighted by their masses; x and y."""
    return (model.body_mass[:, None] * data.xipos).sum(0)[:2] / model.body_mass.sum()


def simulate(model, data, controls, frame_skip):
    """Yields a `Step` for every control."""
    for control in controls:
        before = current(model, data)
        data.ctrl[:] = control
        for _ in range(frame_skip - 1):
            mujoco.mj_step(model, data)
        last_substep = current(model, data)
        mujoco.mj_step(model, data)
        after = current(model, data)
        yield Step(
            control, before.qpos.copy(), data.qpos.copy(), data.qvel.copy(), before, after, last_substep
        )


def episode(env_id, task, steps, *, full_control=1.0, strength=1.0, seed=11, **options):
    """A single environment's trajectory under random actions, up to its end, and the controls.

    Args:
        full_control: what an action of 1 becomes.
        strength: of the largest actions.
    """
    mujoco.set_mju_user_warning(lambda message: None)  # it would write a log file here
    env = gymnasium.make(env_id, **options)
    size = (steps, *env.action_space.shape)
    actions = np.random.default_rng(seed).uniform(-strength, strength, size).astype(np.float32)
    trajectory = play(env, actions, seed=seed, options=task and {"task": task})
    end = int(first_end(trajectory))
    first = trajectory.pop("observation")[: end + 2]
    cut = {name: values[: end + 1] for name, values in trajectory.items()}
    return {"observation": first, **cut}, full_control * actions[: end + 1].astype(np.float64)


def assert_rewarded(trajectory, expected):
    """The reward's terms are those of the reference, [step] each, and no other; its sum is theirs."""
    assert {name for name in trajectory if name.startswith("reward_")} == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(trajectory[name], values, rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(trajectory["reward"], sum(map(np.asarray, expected.values())), rtol=1e-9)
