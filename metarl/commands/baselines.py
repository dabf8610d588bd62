"""Runs beside an evaluation: a random initialisation, multi-task pre-training, learning from scratch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from metarl_envs.tasks import Tasks, number_of_tasks

from metarl.adaptation.evaluation import AdaptationCurve
from metarl.adaptation.measurement import SeedCurves
from metarl.commands.at_hand import baselines_at_hand
from metarl.comparison.entries import other_tasks
from metarl.errors import ConfigError
from metarl.experiment.experiments import ControlExperiment, ScratchExperiment, of_control
from metarl.from_scratch.results import kept_curve
from metarl.runs.places import SEED_FOLDER, find_place
from metarl.runs.run_config import difference_but_seed, load_run_config

NONE = Path("none")
"""Of `--beside`: no baselines."""


class Baseline(Protocol):
    """What stands beside an evaluation, a run a seed."""

    @property
    def curves_to_measure(self) -> int: ...

    def measure(self, tasks: Tasks, curve_of: Callable[[Path], AdaptationCurve]) -> SeedCurves:
        """Its curves on the tasks.

        Args:
            curve_of: measures the run in a folder.

        Raises:
            ConfigError: they cannot be had.
        """
        ...


@dataclass(frozen=True)
class AdaptingBaseline:
    """Runs, by seed, that adapt as those that are evaluated do."""

    folders: tuple[Path, ...]

    @property
    def curves_to_measure(self) -> int:
        return len(self.folders)

    def measure(self, tasks: Tasks, curve_of: Callable[[Path], AdaptationCurve]) -> SeedCurves:
        return SeedCurves(tuple(curve_of(folder) for folder in self.folders))


@dataclass(frozen=True)
class ScratchBaseline:
    """Results that learning from scratch left in its run folders, by seed: nothing is learned here.

    Args:
        at: environment steps of a task after 0, ..., K inner steps' worth of learning.
        episodes: of a measurement.
    """

    folders: tuple[Path, ...]
    at: tuple[int, ...]
    episodes: int
    curves_to_measure: int = 0

    def measure(self, tasks: Tasks, curve_of: Callable[[Path], AdaptationCurve]) -> SeedCurves:
        found = [kept_curve(folder, tasks, self.at, self.episodes) for folder in self.folders]
        fewest = min(number_of_tasks(curve.tasks) for curve in found)
        first = {name: values[:fewest] for name, values in tasks.items()}
        return SeedCurves(tuple(AdaptationCurve(first, curve.returns[:, :fewest]) for curve in found))


def load_baselines(arguments: argparse.Namespace, config: ControlExperiment) -> dict[str, Baseline]:
    """The runs of `--beside` by their names; those that differ in their seeds alone are one.

    Without `--beside` they are those at hand, with "none" there are none.

    Args:
        config: of the run that they stand beside.

    Raises:
        MetaRLError: one cannot be loaded, or is of other tasks.
    """
    groups: list[tuple[ControlExperiment, list[Path]]] = []
    asked_for = [] if arguments.beside == [NONE] else arguments.beside
    for folder in baselines_at_hand(arguments.run_dir, config) if asked_for is None else asked_for:
        own = of_control(load_run_config(find_place(folder), trust=arguments.trust))
        if reason := other_tasks(config, own):
            raise ConfigError(f"--beside {folder}: expected a run of the same tasks; {reason}")
        alike = [paths for known, paths in groups if difference_but_seed(known, own) is None]
        if alike:
            alike[0].append(folder)
        else:
            groups.append((own, [folder]))
    named: dict[str, Baseline] = {}
    for own, folders in groups:
        name = _name(folders)
        named[name if name not in named else f"{name} ({folders[0]})"] = _baseline(arguments, own, folders)
    return named


def _baseline(arguments: argparse.Namespace, own: ControlExperiment, folders: Sequence[Path]) -> Baseline:
    if not isinstance(own, ScratchExperiment):
        return AdaptingBaseline(tuple(folders))
    step = arguments.episodes * int(own.environment.horizon)
    return ScratchBaseline(
        tuple(folders), tuple(k * step for k in range(arguments.steps + 1)), arguments.episodes
    )


def _name(folders: Sequence[Path]) -> str:
    """The folder's name, or that of the folder which holds its seeds."""
    first = folders[0].resolve()
    return first.parent.name if SEED_FOLDER.fullmatch(first.name) else first.name
