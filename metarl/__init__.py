"""Meta-reinforcement learning: policies that adapt to a new task in a few episodes."""

import metarl.interrupts  # before what takes long  # noqa: F401

# isort: split
from importlib import import_module
from typing import TYPE_CHECKING

import metarl_envs  # registers the environments  # noqa: F401

from metarl.errors import ConfigError, MetaRLError, NonFiniteError, RanksError, RunError, TrainingError
from metarl.runs.files import VERSION

if TYPE_CHECKING:
    from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
    from metarl.experiment.config import read_config
    from metarl.experiment.experiments import ExperimentConfig, ScratchExperiment, SupervisedExperiment
    from metarl.from_scratch.results import ScratchResult
    from metarl.meta_learners.registry import register_meta_learner
    from metarl.policies.registry import register_policy
    from metarl.runs.load import load
    from metarl.runs.meta_policy import AdaptedPolicy, MetaPolicy
    from metarl.supervised.evaluation import Scores
    from metarl.training.api import evaluate, train
    from metarl.training.examples.run import train_supervised
    from metarl.training.observers import Evaluated, Iteration, Observer
    from metarl.training.scratch import train_from_scratch
else:
    _MODULES = {
        "AdaptationCurve": "metarl.adaptation.evaluation",
        "AdaptedPolicy": "metarl.runs.meta_policy",
        "Evaluation": "metarl.adaptation.evaluation",
        "Evaluated": "metarl.training.observers",
        "ExperimentConfig": "metarl.experiment.experiments",
        "Iteration": "metarl.training.observers",
        "MetaPolicy": "metarl.runs.meta_policy",
        "Observer": "metarl.training.observers",
        "ScratchResult": "metarl.from_scratch.results",
        "ScratchExperiment": "metarl.experiment.experiments",
        "SupervisedExperiment": "metarl.experiment.experiments",
        "Scores": "metarl.supervised.evaluation",
        "evaluate": "metarl.training.api",
        "load": "metarl.runs.load",
        "read_config": "metarl.experiment.config",
        "register_meta_learner": "metarl.meta_learners.registry",
        "register_policy": "metarl.policies.registry",
        "train": "metarl.training.api",
        "train_from_scratch": "metarl.training.scratch",
        "train_supervised": "metarl.training.examples.run",
    }

    def __getattr__(name):
        """Imports what needs PyTorch when it is asked for."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return found

    def __dir__():
        return sorted({*globals(), *__all__})


__version__ = VERSION
__all__ = [
    "AdaptationCurve",
    "AdaptedPolicy",
    "ConfigError",
    "Evaluated",
    "Evaluation",
    "ExperimentConfig",
    "Iteration",
    "MetaPolicy",
    "MetaRLError",
    "NonFiniteError",
    "Observer",
    "RanksError",
    "RunError",
    "Scores",
    "ScratchExperiment",
    "ScratchResult",
    "SupervisedExperiment",
    "TrainingError",
    "evaluate",
    "load",
    "read_config",
    "register_meta_learner",
    "register_policy",
    "train",
    "train_from_scratch",
    "train_supervised",
]
