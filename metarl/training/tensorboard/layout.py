"""The page Custom Scalars: adaptation, then health, for many runs side by side."""

from __future__ import annotations

from typing import Any

from metarl.training.tensorboard.glossary import ADAPTATION, HEALTH, INTERVALS, TRAINING


def page_layout() -> dict[str, dict[str, list[Any]]]:
    """Charts by title, by category; the same for every run, so that TensorBoard draws them once.

    Bands are 95 % intervals. In a chart of several lines, a colour is a run, and a marker a line.
    """
    return {
        "Does it adapt? Held-out tasks, over environment steps": {
            "Return after 0, 1, ... inner steps (a marker each)": _lines(
                rf"^{ADAPTATION}/return_after_\d+_steps?$"
            ),
            "Adaptation gain": _band(f"{ADAPTATION}/gain", f"{INTERVALS}/gain"),
            "Return before adaptation": _return_band("return_after_0_steps"),
            "Return after 1 inner step": _return_band("return_after_1_step"),
            "Tasks made worse, beyond noise": _lines(rf"^{ADAPTATION}/share_of_tasks_made_worse$"),
            "Success before and after": _lines(rf"^{ADAPTATION}/success_(before|after)$"),
        },
        "Is it still improving? The tasks of training": {
            "Return before and after inner steps": _lines(rf"^{TRAINING}/return_(before|after)$"),
            "Gain": _lines(rf"^{TRAINING}/gain$"),
            "Episode length": _lines(rf"^{TRAINING}/episode_length$"),
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


def _return_band(tag: str) -> list[Any]:
    return _band(f"{ADAPTATION}/{tag}", f"{INTERVALS}/{tag}")


def _band(value: str, ends: str) -> list[Any]:
    return ["Margin", [value, f"{ends}_low", f"{ends}_high"]]
