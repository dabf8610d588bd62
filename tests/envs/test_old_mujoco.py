"""With a MuJoCo that has no native batch, as Meta-World pins it, everything else still works."""

import subprocess
import sys
from pathlib import Path

CONFIG = Path(__file__).parents[2] / "configs/half_cheetah_vel/maml_trpo.yaml"
SCRIPT = """
import sys
sys.modules["mujoco.batch"] = None
from pathlib import Path
import gymnasium, metarl_envs
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.errors import ConfigError
envs = gymnasium.make_vec("metarl/PointNavigation-v0", 3, vectorization_mode="vector_entry_point")
envs.reset(seed=0)
print(envs.step(envs.action_space.sample())[1].shape)
try:
    gymnasium.make("metarl/AntVel-v0")
except gymnasium.error.DependencyNotInstalled as error:
    print(error)
try:
    build_experiment(read_config(Path(sys.argv[1])))
except ConfigError as error:
    print(error)
"""


def test_without_a_native_batch_only_native_environments_are_refused():
    command = [sys.executable, "-c", SCRIPT, str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shape, message, error = done.stdout.splitlines()
    assert shape == "(3,)"
    assert message.startswith("expected mujoco >= 3.17, whose native batch")
    assert "pip install -U mujoco" in message
    assert error == f"environment: {message}"
