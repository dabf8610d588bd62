"""What a run folder keeps of an evaluation on labelled examples, and the table of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metarl.adaptation.figures.style import png
from metarl.runs.files import EVALUATION, FITS, SUMMARY, TABLE, write_atomically
from metarl.runs.results import csv_bytes, new_evaluation
from metarl.runs.tables import Table
from metarl.supervised.evaluation import Scores
from metarl.training.examples.fits import Fits, fits_figure


def write_scores(run_dir: Path, scores: Scores, protocol: Mapping[str, Any], fits: Fits | None) -> None:
    """Writes adaptation.csv, a line for every task, adaptation.json, the means and their intervals, and
    fits.png where there are fits.

    Args:
        protocol: how they were measured.
    """
    folder = new_evaluation(run_dir)
    write_atomically(folder / TABLE, csv_bytes([scores.columns, *scores.of_tasks.tolist()]))
    found = {
        "score": scores.name,
        "mean": scores.mean.tolist(),
        "half_width_95": scores.half_width.tolist(),
        "protocol": dict(protocol),
    }
    write_atomically(folder / SUMMARY, f"{json.dumps(found, indent=2)}\n".encode())
    if fits is not None:
        write_atomically(folder / FITS, png(fits_figure(fits, "A new curve before and after adaptation")))


def find_scores(run_dir: Path, protocol: Mapping[str, Any]) -> Scores | None:
    """The scores of an evaluation under this protocol, if the run folder keeps them."""
    for path in sorted((run_dir / EVALUATION).glob(f"*/{SUMMARY}")):
        try:
            found = json.loads(path.read_text())
            if found["protocol"] == dict(protocol):
                table = np.loadtxt(path.with_name(TABLE), delimiter=",", skiprows=1, ndmin=2)
                return Scores(found["score"], table)
        except (OSError, ValueError, KeyError):
            continue
    return None


def score_table(scores: Scores) -> Table:
    """Mean scores with half their 95 % intervals, a row for every number of inner steps; accuracies in %."""
    percent = scores.name == "accuracy"
    scale, unit, digits = (100, " %", 2) if percent else (1, "", 3)
    rows = [
        (str(step), f"{scale * mean:.{digits}f}{unit}", f"± {scale * half:.{digits}f}")
        for step, (mean, half) in enumerate(zip(scores.mean, scores.half_width, strict=True))
    ]
    return Table(("inner steps", scores.name, "95 % interval"), rows)
