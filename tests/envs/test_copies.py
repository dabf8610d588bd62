"""Copies of environments: the same arguments, tasks and draws, begun with a reset."""

import copy
import pickle

import gymnasium
import numpy as np
import pytest
from metarl_envs import FAMILIES

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda envs: pickle.loads(pickle.dumps(envs))}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_copy_goes_on_with_the_same_draws(name, copied):
    envs = gymnasium.make_vec(f"metarl/{name}-v0", num_envs=2)
    envs.reset(seed=3)
    envs.unwrapped.set_tasks(envs.unwrapped.sample_tasks(2))
    envs.step(envs.action_space.sample())
    other = COPIES[copied](envs)
    with pytest.raises(RuntimeError, match="reset"):
        other.step(envs.action_space.sample())
    walks = []
    for one in (envs, other):
        observations, info = one.reset()
        action = np.full(one.action_space.shape, 0.1, np.float32)
        walks.append([observations, *info["task"].values(), *one.step(action)[:2]])
    for own, found in zip(*walks, strict=True):
        np.testing.assert_array_equal(own, found)


@pytest.mark.parametrize("copied", COPIES)
def test_a_single_environment_is_copied_with_its_task(copied):
    env = gymnasium.make("metarl/HalfCheetahVel-v0", preset="pearl")
    env.reset(seed=1, options={"task": {"velocity": 0.7}})
    other = COPIES[copied](env)
    assert other.unwrapped.get_task() == {"velocity": 0.7}
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
    env.close()
    other.reset()
    other.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 1.5}, "num_envs to be an integer, got 1.5"),
        ({"num_envs": "2"}, "num_envs to be an integer, got '2'"),
        ({"num_envs": 2, "action_scale": "10"}, "a finite action_scale > 0, got '10'"),
        ({"num_envs": 2, "action_scale": 1e300}, "a finite action_scale > 0, got 1e\\+300"),
        ({"num_envs": 2, "action_scale": True}, "a finite action_scale > 0, got True"),
    ],
)
def test_arguments_of_another_type_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make_vec("metarl/AntVel-v0", **arguments)
