"""What a run imports only where its config asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def examples_room() -> Any:
    """The module that trains on labelled examples: nothing of it is imported for control."""
    return import_module("metarl.training.examples.run")
