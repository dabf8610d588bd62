"""Meta-reinforcement learning: policies that adapt to a new task in a few episodes."""

import metarl_envs  # registers the environments  # noqa: F401

from metarl.errors import ConfigError, MetaRLError, NonFiniteError, RunError, TrainingError
from metarl.experiment.config import read_config
from metarl.meta_learners.registry import register_meta_learner
from metarl.policies.registry import register_policy
from metarl.runs.files import VERSION
from metarl.runs.load import load
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy
from metarl.training.api import evaluate, train
from metarl.training.observers import Iteration, Observer

__version__ = VERSION
__all__ = [
    "AdaptedPolicy",
    "ConfigError",
    "Iteration",
    "MetaPolicy",
    "MetaRLError",
    "NonFiniteError",
    "Observer",
    "RunError",
    "TrainingError",
    "evaluate",
    "load",
    "read_config",
    "register_meta_learner",
    "register_policy",
    "train",
]
