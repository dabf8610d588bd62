"""The files of a run folder, and how they are written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = "0.2.0.dev0"
"""Of metarl, which writes the files."""
CONFIG = "config.yaml"
"""The resolved config."""
CHECKPOINT = "checkpoint.safetensors"
"""All that an exact resume needs."""
POLICY = "policy.safetensors"
"""The meta-parameters of the checkpoint."""
SNAPSHOTS = "snapshots"
"""Folder of the policies kept on the way."""
REPLAY = "replay"
"""Folder of the rows that a learner replays, in files: a part of the checkpoint."""
FILMS = "films"
"""Folder of the films that training records."""
PROGRESS = "progress.csv"
"""A row for every iteration."""
RESULTS = "tasks"
"""Folder of what learning from scratch found, a file for every task."""
JUDGED = "judged"
"""Folder of what a comparison measured of its policies, a file per protocol."""
EVALUATION, ADAPTATION = "evaluation", "adaptation"
"""Folders of evaluations by their time, and of adaptations by their task."""
TABLE, SUMMARY = "adaptation.csv", "adaptation.json"
"""In a folder of these: returns by task or step, and their means."""
PLOT = "adaptation.png"
"""In a folder of an evaluation; each picture is an SVG too."""
FITS = "fits.png"
"""There too, of regression: a curve and the network before and after inner steps."""
EPISODES_USED, BESIDE = "episodes_used.png", "beside.png"
"""There too: what a few episodes buy, and other runs on the same tasks."""
MEANS, REPORT = "means.csv", "adaptation.md"
"""In a folder of an evaluation: means and intervals of everything measured, and all as Markdown."""
ADAPTED = "adapted.safetensors"
"""In a folder of an adaptation: the policy."""
HELD_OUT_TASK = "held_out_task.json"
"""A task to try the policy on."""
CARD = "README.md"
"""What a meta-policy that is given to others says of itself to a reader."""
EVENTS = "events.out.tfevents.*"
"""The pattern of TensorBoard's event files, which it names itself."""
SUFFIX = ".safetensors"
"""Of files of tensors, policies that are saved as one file among them."""
LOCK = ".lock"
"""Held by the process that trains in the folder; it means nothing where none does."""


def snapshot_file(run_dir: Path, iteration: int) -> Path:
    """The policy kept after so many iterations."""
    return run_dir / SNAPSHOTS / f"iteration_{iteration:06}.safetensors"


def snapshot_files(run_dir: Path) -> list[Path]:
    """The policies that were kept, in their order."""
    return sorted((run_dir / SNAPSHOTS).glob("*.safetensors"))


def film_file(run_dir: Path, iteration: int) -> Path:
    """The film recorded after so many iterations."""
    return run_dir / FILMS / f"iteration_{iteration:06}.gif"


def replay_file(run_dir: Path, number: int) -> Path:
    """One of the files of rows to replay, by their order."""
    return run_dir / REPLAY / f"rows_{number:06}.safetensors"


def replay_files(run_dir: Path) -> list[Path]:
    """The files of rows to replay, in their order."""
    return sorted((run_dir / REPLAY).glob("rows_*.safetensors"))


def results_file(run_dir: Path, index: int, protocol: Mapping[str, Any]) -> Path:
    """What learning a task from scratch found under a protocol; one file for every protocol."""
    return run_dir / RESULTS / f"{index:04}-{protocol_digest(protocol)}.json"


def results_files(run_dir: Path) -> list[Path]:
    """What learning from scratch found, under any protocol, by the tasks' order."""
    return sorted((run_dir / RESULTS).glob("*.json"))


def figure_file(folder: Path, title: str, figure: str) -> Path:
    """A picture of one list of tasks, in a folder of an evaluation."""
    return folder / f"{title}_{figure}.png"


def judged_file(run_dir: Path, protocol: Mapping[str, Any]) -> Path:
    """What a comparison measured under a protocol."""
    return run_dir / JUDGED / f"{protocol_digest(protocol)}.json"


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces the file's contents in one step: a crash leaves the old file or the new one."""
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def protocol_digest(protocol: Mapping[str, Any]) -> str:
    """Twelve characters that name what results follow from, for their file."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:12]
