"""Meta-reinforcement learning: policies that adapt to a new task in a few episodes."""

import metarl_envs  # registers the environments  # noqa: F401

from metarl.errors import ConfigError, MetaRLError, NonFiniteError, RunError, TrainingError
from metarl.runs.files import VERSION
from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy, load

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
]
