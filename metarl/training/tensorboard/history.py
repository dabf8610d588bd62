"""What a run's event files hold, for a run that goes on."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import (
    IMAGES,
    SCALARS,
    TENSORS,
    EventAccumulator,
)
from tensorboard.util.tb_logging import get_logger

from metarl.adaptation.figures.curves import EvaluationPoint
from metarl.training.tensorboard.groups import ADAPTATION, CARD, INTERVALS

_RETURN = re.compile(rf"{ADAPTATION}/(return_after_(\d+)_(?:step|episode)s?)")


class History(NamedTuple):
    """What event files hold; of version 0.1.0's neither.

    Args:
        evaluations: in their order.
        has_card: whether the run's card is there.
        tags: of the scalars.
    """

    evaluations: list[EvaluationPoint]
    has_card: bool
    tags: frozenset[str]


NOTHING_HELD = History([], has_card=False, tags=frozenset())


def read_history(run_dir: Path, environment_steps: int) -> History:
    """What the files hold, with the evaluations until so many environment steps."""
    guidance = {SCALARS: 0, IMAGES: 1, TENSORS: 1}
    events: Any = EventAccumulator(str(run_dir), size_guidance=guidance)
    with _without_warnings():
        events.Reload()
    tags = events.Tags()
    return History(_evaluations(events, environment_steps), CARD in tags[TENSORS], frozenset(tags[SCALARS]))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """TensorBoard tells of what a killed run wrote past its checkpoint and a resume hides."""
    logger = get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _evaluations(events: Any, environment_steps: int) -> list[EvaluationPoint]:
    tags = events.Tags()[SCALARS]
    names = sorted((int(found[2]), found[1]) for found in map(_RETURN.fullmatch, tags) if found)
    lines = [
        [
            {event.step: event.value for event in events.Scalars(tag)} if tag in tags else {}
            for tag in (f"{ADAPTATION}/{name}", f"{INTERVALS}/{name}_low", f"{INTERVALS}/{name}_high")
        ]
        for _, name in names
    ]
    if not lines:
        return []
    times = sorted(time for time in lines[0][0] if time <= environment_steps)
    return [_point(time, [ends for ends in lines if time in ends[0]]) for time in times]


def _point(time: int, lines: list[list[dict[int, float]]]) -> EvaluationPoint:
    mean, low, high = (np.array([ends[i].get(time, math.nan) for ends in lines]) for i in range(3))
    return EvaluationPoint(time, mean, low, high)
