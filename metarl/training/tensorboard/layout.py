"""The page Custom Scalars: adaptation, then health, for many runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metarl.training.tensorboard.glossary import ADAPTATION, HEALTH, INTERVALS, TRAINING


def page_layout(returns: Sequence[str], *, bands: bool) -> dict[str, dict[str, list[Any]]]:
    """Charts by title, by category.

    TensorBoard draws a chart that several runs ask for once, and bands after lines, the last of them first.
    Bands are 95 % intervals, and are not smoothed; in a chart of several lines, a colour is a run, and a
    marker a line.

    Args:
        returns: the names of held-out returns after 0, 1, ... inner steps.
        bands: whether there are intervals.
    """
    banded = _band if bands else _unsmoothed
    return {
        "Does it adapt? Held-out tasks, over environment steps": {
            "Return after 0, 1, ... inner steps (a marker each)": _lines(
                rf"^{ADAPTATION}/return_after_\d+_steps?$"
            ),
            "Share of tasks made worse, beyond noise": _unsmoothed("share_of_tasks_made_worse"),
            **{name.capitalize().replace("_", " "): banded(name) for name in reversed(returns)},
            "Adaptation gain": banded("gain"),
        },
        "Is it still improving? The tasks of training": {
            "Return before and after inner steps": _lines(rf"^{TRAINING}/return_(before|after)$"),
            "Gain": _lines(rf"^{TRAINING}/gain$"),
            "Steps per episode": _lines(rf"^{TRAINING}/steps_per_episode$"),
        },
        "Is it well? Inner steps, outer step, exploration": {
            "KL of inner and outer steps": _lines(rf"^{HEALTH}/(inner|update)/kl$"),
            "Surrogate before and after": _lines(rf"^{HEALTH}/update/surrogate_(before|after)$"),
            "Do directions agree? Cosines": _lines(rf"^{HEALTH}/(inner|update)/.*cosine$"),
            "Norms of inner gradients and steps": _lines(rf"^{HEALTH}/inner/(gradient|step)_norm$"),
            "Accepted, and backtracks": _lines(rf"^{HEALTH}/update/(accepted|backtracks)$"),
            "CG residual": _lines(rf"^{HEALTH}/update/cg_residual$"),
            "Entropy and std": _lines(rf"^{HEALTH}/policy/(entropy|std)$"),
            "Explained variance": _lines(rf"^{HEALTH}/baseline/explained_variance$"),
        },
    }


def _lines(pattern: str) -> list[Any]:
    return ["Multiline", [pattern]]


def _band(name: str) -> list[Any]:
    return ["Margin", [f"{ADAPTATION}/{name}", f"{INTERVALS}/{name}_low", f"{INTERVALS}/{name}_high"]]


def _unsmoothed(name: str) -> list[Any]:
    """A band of no width: TensorBoard smooths lines, but no bands."""
    return ["Margin", [f"{ADAPTATION}/{name}"] * 3]
