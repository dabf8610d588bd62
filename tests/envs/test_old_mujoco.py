"""With a MuJoCo that has no native batch, as Meta-World pins it, everything else still works."""

import subprocess
import sys

import pytest

from metarl.build import build_experiment
from metarl.errors import ConfigError

SCRIPT = """
import sys
sys.modules["mujoco.batch"] = None
import gymnasium, metarl_envs
envs = gymnasium.make_vec("metarl/PointNavigation-v0", 3, vectorization_mode="vector_entry_point")
envs.reset(seed=0)
print(envs.step(envs.action_space.sample())[1].shape)
try:
    gymnasium.make("metarl/AntVel-v0")
except gymnasium.error.DependencyNotInstalled as error:
    print(error)
"""


def test_without_a_native_batch_only_native_environments_are_refused():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    shape, *message = done.stdout.splitlines()
    assert shape == "(3,)"
    assert len(message) == 1
    assert message[0].startswith("expected mujoco >= 3.17, whose native batch")
    assert "pip install -U mujoco" in message[0]


def test_a_config_that_needs_the_batch_is_told(small_config, monkeypatch):
    monkeypatch.setattr("metarl_envs.mujoco_batch.Batch", None)
    settings = ("--environment.id", "metarl/HalfCheetahVel-v0", "--environment.options", "{}")
    with pytest.raises(ConfigError, match=r"environment: expected mujoco >= 3\.17"):
        build_experiment(small_config(*settings))
