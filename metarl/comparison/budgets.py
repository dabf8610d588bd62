"""What the same time, and the same environment steps, of training buy every algorithm of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from metarl_envs.task_parameters import Array

from metarl.comparison.runs import Result

_COLUMNS = 4
_STEPS = [leading * 10**power for power in range(2, 11) for leading in (1, 2, 5)]
_SECONDS = [count * unit for unit in (1, 60) for count in (1, 2, 5, 10, 20, 40)]
_SECONDS += [count * 3600 for count in (1, 2, 5, 10, 20, 40, 100)]


def budgets(titles: Mapping[str, str], results: Sequence[Result], after: int) -> str:
    """Two tables as Markdown: returns of the last policy kept within a time, and within environment steps.

    A cell has the mean over seeds and tasks before and after adaptation; it is empty where a seed kept no
    policy by then. What learns every task from scratch is left out: its costs are those of one task.

    Args:
        titles: what a row is called in the table, by its label, in order.
        after: episodes of a task that adaptation takes in all.
    """
    kept = [result for result in results if not result.per_task and len(result.learning.returns)]
    if not any(result.environment_steps for result in kept):
        return ""
    time = _table(titles, kept, _SECONDS, "seconds")
    steps = _table(titles, kept, _STEPS, "environment_steps")
    shown = f"return before → after {after} episode{'s' * (after != 1)} of a task, mean over seeds and tasks"
    return (
        f"**Equal time of training**: {shown}; a run that has ended keeps its last policy\n\n{time}\n"
        f"**Equal environment steps**: the same\n\n{steps}"
    )


def _table(titles: Mapping[str, str], results: Sequence[Result], scale: Sequence[int], of: str) -> str:
    longest = max(getattr(result.learning, of)[-1] for result in results)
    amounts = [amount for amount in scale if amount <= longest][-_COLUMNS:] or [scale[0]]
    spelled = _spelled_time if of == "seconds" else _spelled_steps
    lines = [["", *map(spelled, amounts)], ["---", *["---:"] * len(amounts)]]
    for label, title in titles.items():
        seeds = [result for result in results if result.label == label]
        if seeds:
            lines.append([title, *(_cell(seeds, amount, of) for amount in amounts)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(seeds: Sequence[Result], amount: int, of: str) -> str:
    found = [one.learning.bought(amount, getattr(one.learning, of)) for one in seeds]
    kept: list[Array] = [returns for returns in found if returns is not None]
    if len(kept) < len(found):
        return ""
    mean = np.mean(kept, axis=0)
    return f"{mean[0]:.1f} → {mean[-1]:.1f}"


def _spelled_time(seconds: int) -> str:
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _spelled_steps(count: int) -> str:
    if count >= 10**6:
        return f"{count // 10**6}M steps"
    return f"{count // 1000}k steps" if count >= 1000 else f"{count} steps"
