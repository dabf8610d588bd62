"""Trains small runs, alone or as one rank of several: torchrun ... rank_runs.py FOLDER NAME ..."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import metarl
from metarl.compute.ranks import joined_ranks
from metarl.training.observers import Iteration, Observer
from tests.support.rank_cases import CASES


class Diary(Observer):
    """Keeps the tasks and returns of every iteration in a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._found = path, dict[str, np.ndarray]()

    def on_iteration(self, iteration: Iteration) -> None:
        self._found[f"goal_{iteration.number}"] = iteration.tasks["goal"]
        self._found[f"returns_{iteration.number}"] = iteration.returns.numpy()

    def on_end(self) -> None:
        np.savez(self._path, **self._found)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with joined_ranks(60) as ranks:
        for name in sys.argv[2:]:
            run_dir = folder / name
            observers = [Diary(folder / f"{name}.npz")]
            metarl.train({**CASES[name], "run_dir": str(run_dir)}, observers=observers, quiet=True)
