"""The folder of a run as the source of its experiment: nothing is built before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.experiments import ExperimentConfig, meta_learned, scale_later_steps
from metarl.runs.run_config import load_run_config


@dataclass(frozen=True)
class RunSource:
    """A run folder, and what is to be otherwise than in its config.

    Args:
        device: as `training.device`.
        later_step_scale: scales inner steps after the first; None as in the config.
        environment_options: added to the config's.
        trust: import the modules that the config names.
    """

    folder: Path
    device: str = "cpu"
    later_step_scale: float | None = None
    environment_options: Mapping[str, Any] = field(default_factory=dict)
    trust: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Without the experiment, whose threads and simulations a copy makes for itself."""
        return {name: value for name, value in vars(self).items() if name != "experiment"}

    @property
    def changes_config(self) -> bool:
        """Whether the policy adapts, or its environment is, otherwise than in the run."""
        return self.later_step_scale is not None or bool(self.environment_options)

    @cached_property
    def config(self) -> ExperimentConfig:
        """The run's config, with the changes.

        Raises:
            RunError: the folder is no run, or names a module and is not trusted.
            ConfigError: it learned from scratch, or the learner has no `later_step_scale`.
        """
        config = meta_learned(load_run_config(self.folder, trust=self.trust))
        if self.later_step_scale is not None:
            config = scale_later_steps(config, self.later_step_scale)
        environment = config.environment
        options = {**environment.options, **self.environment_options}
        return replace(
            config,
            environment=replace(environment, options=options),
            training=replace(config.training, device=self.device),
        )

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment of this config.

        Raises:
            RunError: as `config`.
            ConfigError: as `config`, or the environment cannot be had or does not take the options.
        """
        return build_experiment(self.config)
