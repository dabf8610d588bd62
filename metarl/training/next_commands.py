"""The commands that go on with a run or with a training that was stopped, and where its charts are."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from metarl.experiment.build import Experiment
from metarl.experiment.names import named_modules
from metarl.policies.policy import remembers
from metarl.runs.files import HELD_OUT_TASK

CHARTS = "http://localhost:6006/?smoothing=0#custom_scalars&_smoothingWeight=0"
"""TensorBoard's page Custom Scalars without smoothing, there and on Time Series, at its usual port."""


def charts_command(run_dir: Path) -> str:
    """What shows the run's charts, beside those of the runs in the same folder."""
    beside = run_dir.parent
    folder = run_dir if run_dir.is_absolute() or beside == Path() else beside
    return shlex.join(["tensorboard", "--logdir", str(folder)])


def next_commands(experiment: Experiment) -> list[str]:
    """To one task and to a list of them; who remembers adapts by episodes in a row, not by inner steps."""
    config = experiment.config
    run_dir, steps = Path(config.run_dir), str(config.training.evaluation_steps)
    one, each = ["--episodes", "20", "--steps", steps], ["--steps", steps]
    if remembers(experiment.policy):
        one, each = [], ["--episodes", "1", "--steps", steps]
    trust = ["--trust"] if named_modules(config.as_dict()) else []
    adapt = ["metarl", "adapt", str(run_dir), "--task", str(run_dir / HELD_OUT_TASK), *one]
    evaluate = ["metarl", "evaluate", str(run_dir), *each]
    return [shlex.join([*words, *trust]) for words in (adapt, evaluate)]


def resume_command(words: Sequence[str]) -> str:
    """What goes on with a stopped training.

    Args:
        words: those that it was started with after "metarl train", but for `--resume`.
    """
    return shlex.join(["metarl", "train", *words, "--resume", "true"])
