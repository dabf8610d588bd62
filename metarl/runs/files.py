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
PROGRESS = "progress.csv"
"""A row an iteration."""
RESULTS = "tasks"
"""Folder of what learning from scratch found, a file a task."""
EVALUATION, ADAPTATION = "evaluation", "adaptation"
"""Folders of evaluations by their time, and of adaptations by their task."""
TABLE, SUMMARY = "adaptation.csv", "adaptation.json"
"""In a folder of these: returns by task or step, and their means."""
HELD_OUT_TASK = "held_out_task.json"
"""A task to try the policy on."""
LOCK = ".lock"
"""Held by the process that trains in the folder; it means nothing where none does."""


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
