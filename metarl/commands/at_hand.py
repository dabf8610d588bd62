"""Baselines that lie beside a run: what an evaluation shows beside it where nothing else is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from metarl.comparison.entries import other_tasks
from metarl.errors import MetaRLError
from metarl.experiment.experiments import ControlExperiment, ScratchExperiment, of_control
from metarl.runs.files import CONFIG
from metarl.runs.places import SEED_FOLDER, results_folder
from metarl.runs.run_config import load_run_config


def baselines_at_hand(folders: Sequence[Path], config: ControlExperiment) -> list[Path]:
    """The finished or unfinished runs of baselines in the folder that holds the runs, of the same tasks.

    Those that name modules, which only trust would import, are left out.

    Args:
        folders: of the runs.
        config: theirs, but for the seeds.
    """
    own = {results_folder(folder).resolve() for folder in folders}
    return [
        folder for folder in _siblings(folders[0]) if folder.resolve() not in own and _fits(folder, config)
    ]


def is_baseline(config: ControlExperiment) -> bool:
    """Whether it is what meta-learning is compared with: learning from scratch, multi-task pre-training, a
    random initialisation, or an oracle."""
    if isinstance(config, ScratchExperiment):
        return True
    untrained = config.training.iterations == 0 and not config.policy.start_from
    told = bool(config.environment.options.get("observe_task", False))
    return untrained or told or config.meta_learner_name == "multi_task"


def _siblings(folder: Path) -> Iterator[Path]:
    """Folders of runs beside the run's, or beside the one that holds its seeds; those of their seeds, too."""
    run = results_folder(folder).resolve()
    beside = run.parent.parent if SEED_FOLDER.fullmatch(run.name) else run.parent
    for path in sorted(beside.glob(f"*/{CONFIG}")):
        yield path.parent
    for path in sorted(beside.glob(f"*/*/{CONFIG}")):
        if SEED_FOLDER.fullmatch(path.parent.name):
            yield path.parent


def _fits(folder: Path, config: ControlExperiment) -> bool:
    try:
        found = of_control(load_run_config(folder))
    except MetaRLError:
        return False
    return is_baseline(found) and other_tasks(config, found) is None
