"""Learned step sizes by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from metarl_envs.task_parameters import Array
from torch import Tensor

from metarl.adaptation.figures.style import panels
from metarl.meta_learners.inner.gradient_rules import LOG_STEP_SIZE, STEP_SIZE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def step_sizes_figure(parameters: Mapping[str, Tensor], title: str) -> Figure | None:
    """Every learned step size's mean, and the range of those of a tensor; None where none is learned.

    Args:
        parameters: the meta-parameters; step sizes are named after what they scale.
    """
    learned: dict[str, Array] = {
        name.removeprefix(STEP_SIZE): value.detach().double().cpu().numpy().ravel()
        for name, value in parameters.items()
        if name.startswith(STEP_SIZE) and name != LOG_STEP_SIZE
    }
    if LOG_STEP_SIZE in parameters:
        learned["all parameters"] = parameters[LOG_STEP_SIZE].detach().double().exp().cpu().numpy().ravel()
    if not learned:
        return None
    figure, (axes,) = panels(title, height=1.2 + 0.3 * len(learned))
    places = np.arange(len(learned))
    means = np.array([values.mean() for values in learned.values()])
    low, high = (np.array([end(values) for values in learned.values()]) for end in (np.min, np.max))
    axes.barh(places, means, color="tab:blue", alpha=0.7)
    axes.hlines(places, low, high, color="black", linewidth=1.2)
    axes.axvline(0.0, color="black", linewidth=1)
    axes.set_yticks(places, list(learned))
    axes.invert_yaxis()
    axes.set_xlabel("inner step size: mean (bar), smallest to largest (line)")
    return figure
