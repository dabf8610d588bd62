"""From a config to data, network and learner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from metarl.compute.devices import resolve_device
from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError
from metarl.experiment.experiments import SupervisedExperiment
from metarl.math.parameters import Parameters
from metarl.supervised.evaluation import Scores, evaluate
from metarl.supervised.examples import Split, TaskSource
from metarl.supervised.learners.learner import Learner
from metarl.supervised.model import Model
from metarl.supervised.names import find_builder
from metarl.supervised.networks.network import Network
from metarl.training.examples.fits import Fits, fits_of


@dataclass(frozen=True)
class Supervised:
    """A config's data, network and learner."""

    config: SupervisedExperiment
    source: TaskSource
    model: Model
    learner: Learner
    task_map: TaskMap
    device: torch.device

    def evaluate(self, parameters: Parameters, split: Split) -> Scores:
        """Scores on so many tasks of a split as the config says."""
        training = self.config.training
        return evaluate(
            self.learner,
            parameters,
            self.source,
            split,
            tasks=int(training.evaluation_tasks),
            steps=int(training.evaluation_steps),
            seed=self.config.seed,
            task_map=self.task_map,
        )

    def fits(self, parameters: Parameters) -> Fits | None:
        """What figures show of the learner; None of data that are no curves."""
        task, steps = self.source.pictured, int(self.config.training.evaluation_steps)
        return None if task is None else fits_of(self.learner.predict, parameters, task, steps)


def build_supervised(config: SupervisedExperiment) -> Supervised:
    """Builds everything, the data among it.

    Raises:
        ConfigError: the data or the device cannot be had, or one section does not suit another.
    """
    device, settings = resolve_device(config.training.device), config.training
    task_map = TaskMap.for_device(device, int(settings.threads), int(settings.tasks_at_once))
    try:
        source: TaskSource = _builder(config, "data")(config.data)
        network: Network = _builder(config, "network")(config.network, source.inputs, source.outputs)
        model = Model(network, source.objective, source.training_classes)
        learner: Learner = _builder(config, "learner")(model, config.learner, task_map)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return Supervised(config, source, model, learner, task_map, device)


def _builder(config: SupervisedExperiment, section: str) -> Any:
    return find_builder(section, config.names[section])
