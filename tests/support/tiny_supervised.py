"""A supervised config of a second, as a mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def tiny_values(run_dir: Path, learner: str = "maml", **settings: Any) -> dict[str, Any]:
    """Tiny patterns, small blocks, and the named learner."""
    return {
        "seed": 3,
        "data": {"name": "tests.support.tiny_labelled:tiny"},
        "network": {"name": "conv", "filters": 4, "blocks": 2},
        "learner": {"name": learner, **settings},
        "training": {
            "iterations": 5,
            "tasks": 3,
            "checkpoint_every": 2,
            "evaluation_tasks": 6,
        },
        "run_dir": str(run_dir),
    }
