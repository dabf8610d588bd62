"""One batch of different bodies equals a loop over models that are built one by one."""

from dataclasses import replace

import gymnasium
import mujoco
import numpy as np
import pytest
from metarl_envs.families.random_physics import random_physics
from metarl_envs.family import never_terminated

from tests.support.slow_simulation import gymnasium_asset
from tests.support.trajectories import random_actions

FAMILIES = {"metarl/HopperRandParams-v0": "hopper.xml", "metarl/Walker2DRandParams-v0": "walker2d.xml"}
every_family = pytest.mark.parametrize("env_id", list(FAMILIES))
NAMES = ["body_mass", "body_inertia", "dof_damping", "geom_friction"]


class OneBody:
    """A model of its own, stepped alone."""

    def __init__(self, asset, task):
        self.model = gymnasium_asset(asset)
        for name in NAMES:
            getattr(self.model, name)[:] *= task[name]
        self.data = mujoco.MjData(self.model)
        mujoco.mj_setConst(self.model, self.data)

    def reset(self, seed):
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] += generator.uniform(-0.005, 0.005, self.model.nq)
        self.data.qvel[:] = generator.uniform(-0.005, 0.005, self.model.nv)
        mujoco.mj_forward(self.model, self.data)
        return self.observation()

    def step(self, action):
        """Observation and distance covered."""
        x = self.data.qpos[0]
        self.data.ctrl[:] = action
        for _ in range(8):
            mujoco.mj_step(self.model, self.data)
        return self.observation(), self.data.qpos[0] - x

    def observation(self):
        return np.concatenate((self.data.qpos[1:], np.clip(self.data.qvel, -10, 10)))


@every_family
def test_batch_equals_a_loop_over_models(env_id):
    """Over episodes with resets of some environments to new tasks in between, bit for bit."""
    envs = gymnasium.make_vec(env_id, 4)
    envs.unwrapped.family = replace(envs.unwrapped.family, terminated=never_terminated)
    tasks = envs.unwrapped.family.task_space.sample(12, np.random.default_rng(0))
    actions = random_actions(envs, 30)

    def body(i):
        return OneBody(FAMILIES[env_id], {name: values[i] for name, values in tasks.items()})

    bodies, now = [body(i) for i in range(4)], np.arange(4)
    observation, _ = envs.reset(seed=0, options={"tasks": {k: v[now] for k, v in tasks.items()}})
    np.testing.assert_array_equal(observation, [one.reset(seed) for seed, one in enumerate(bodies)])
    for t, action in enumerate(actions):
        if t in (8, 19):
            mask = np.array([True, False, t == 8, True])
            now = np.where(mask, now + 4, now)
            seeds = [100 + t + i for i in range(4)]
            options = {"tasks": {k: v[now] for k, v in tasks.items()}, "reset_mask": mask}
            observation, _ = envs.reset(seed=seeds, options=options)
            for i in np.flatnonzero(mask):
                bodies[i] = body(now[i])
                np.testing.assert_array_equal(observation[i], bodies[i].reset(seeds[i]))
        observation, *_, info = envs.step(action)
        expected, covered = zip(*(one.step(a) for one, a in zip(bodies, action, strict=True)), strict=True)
        np.testing.assert_array_equal(observation, expected, err_msg=f"step {t}")
        np.testing.assert_allclose(info["reward_forward"], np.array(covered) / 0.016, rtol=1e-9, atol=1e-12)


@every_family
def test_what_a_task_multiplies(env_id):
    """Each element of four arrays of the model, floor and world body included, by its own multiplier."""
    space, model = gymnasium.make(env_id).unwrapped.task_space, gymnasium_asset(FAMILIES[env_id])
    assert list(space.parameters) == NAMES
    tasks = space.sample(4000, np.random.default_rng(0))
    for name, base in zip(NAMES, (1.5, 1.5, 1.3, 1.5), strict=True):
        assert tasks[name].shape == (4000, *getattr(model, name).shape)
        exponents = np.log(tasks[name]) / np.log(base)
        np.testing.assert_allclose(exponents.min(0), -3, atol=0.05)
        np.testing.assert_allclose(exponents.max(0), 3, atol=0.05)
        np.testing.assert_allclose(exponents.mean(0), 0, atol=0.15)
        np.testing.assert_allclose(exponents.std(0), 6 / np.sqrt(12), rtol=0.05)
        flat = exponents.reshape(4000, -1)
        assert np.abs(np.corrcoef(flat.T) - np.eye(flat.shape[1])).max() < 0.08


def test_the_multiplied_arrays_are_those_of_the_model():
    physics = random_physics("hopper.xml", 3.0)
    tasks = physics.task_space.sample(2, np.random.default_rng(0))
    model = gymnasium_asset("hopper.xml")
    for name, values in physics(tasks).items():
        np.testing.assert_array_equal(values[1], getattr(model, name) * tasks[name][1])


@every_family
def test_a_smaller_limit_draws_milder_bodies(env_id):
    space = gymnasium.make(env_id, log_scale_limit=1.0).unwrapped.task_space
    masses = space.sample(2000, np.random.default_rng(0))["body_mass"]
    np.testing.assert_allclose([masses.min(), masses.max()], [1 / 1.5, 1.5], rtol=1e-2)
    for bad in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="expected a finite log_scale_limit > 0"):
            gymnasium.make(env_id, log_scale_limit=bad)
