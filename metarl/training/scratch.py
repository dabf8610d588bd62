"""Learning every evaluation task from scratch, from Python and by command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType

import torch

from metarl.errors import check_kinds
from metarl.experiment.config import read_config, with_overrides
from metarl.experiment.experiments import ScratchExperiment, from_scratch
from metarl.experiment.reading import Overrides, Source
from metarl.from_scratch.results import ScratchResult
from metarl.from_scratch.training import planned_steps, run_from_scratch
from metarl.runs.folder import hold_run_folder
from metarl.training.progress_bar import Progress, write_line

_KINDS = {"overrides": (Mapping, Sequence, NoneType), "resume": (bool,), "quiet": (bool,)}


def train_from_scratch(
    config: Source | ScratchExperiment,
    *,
    overrides: Overrides | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> ScratchResult:
    """Learns every evaluation task of a config from scratch, with a stable-baselines3 algorithm.

    An interrupt keeps every finished task: `resume` goes on from there.

    Args:
        config: a YAML file, the name of a shipped config such as "point_navigation/sb3_ppo", the sections of
            one as a dict, or what `metarl.read_config` returns.
        overrides: values by their key, {"from_scratch.algorithm": "sac"}, or words as on the command line.
        resume: go on with the run in the folder, or start it where there is none.
        quiet: print nothing; otherwise a line and a progress bar.

    Returns:
        The learning curves by task, and the curve by inner step: the return after as many environment steps
        as these would take.

    Raises:
        TypeError: an argument of another type.
        ConfigError: the config is wrong or does not learn from scratch, or the algorithm refuses it.
        RunError: the folder holds another run, or one that is not to be resumed, or cannot be written.
        TrainingError: learning broke down.

    Examples:
        >>> import metarl
        >>> few = {"training.evaluation_tasks": 1, "from_scratch.environment_steps": 100}
        >>> few |= {"training.evaluation_steps": 1, "training.evaluation_episodes": 1}
        >>> few |= {"from_scratch.num_envs": 1, "from_scratch.settings": {"n_steps": 50, "batch_size": 50}}
        >>> metarl.train_from_scratch("point_navigation/sb3_ppo", overrides=few, quiet=True).curve.mean.shape
        (2,)
    """
    check_kinds(_KINDS, locals())
    given = _read(config, overrides or ())
    if not quiet:
        algorithm, tasks = given.from_scratch.algorithm, given.training.evaluation_tasks
        what = f"{given.environment.id}: {algorithm} from scratch on {tasks} tasks"
        write_line(f"{what}, run folder {given.run_dir}")
    bar = Progress(planned_steps(given), "step", leave=True, quiet=quiet)
    threads = torch.get_num_threads()
    try:
        with hold_run_folder(Path(given.run_dir)), bar:
            return run_from_scratch(given, resume, bar.advance)
    finally:
        torch.set_num_threads(threads)


def _read(config: Source | ScratchExperiment, overrides: Overrides) -> ScratchExperiment:
    if not isinstance(config, ScratchExperiment):
        return from_scratch(read_config(config, overrides))
    return from_scratch(with_overrides(config, overrides)) if overrides else config
