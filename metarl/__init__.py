"""Meta-reinforcement learning: policies that adapt to a new task in a few episodes."""

import metarl_envs  # registers the environments  # noqa: F401

from metarl.errors import ConfigError, MetaRLError, NonFiniteError, RunError, TrainingError
from metarl.experiment.config import read_config
from metarl.meta_learners.registry import register_meta_learner
from metarl.policies.registry import register_policy
from metarl.runs.files import VERSION
from metarl.runs.load import load
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy

__version__ = VERSION
__all__ = [
    "AdaptedPolicy",
    "ConfigError",
    "MetaPolicy",
    "MetaRLError",
    "NonFiniteError",
    "RunError",
    "TrainingError",
    "load",
    "read_config",
    "register_meta_learner",
    "register_policy",
]
