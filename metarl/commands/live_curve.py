"""An adaptation as it happens: a line for every number of inner steps, and what the last step did."""

from __future__ import annotations

import math
import sys
from types import TracebackType

import numpy as np
from metarl_envs.task_parameters import Array
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from metarl.adaptation.statistics import LEVEL, over_episodes, sign_test
from metarl.runs.tables import Table, interval_text, number_text
from metarl.training.progress_bar import write_line

HELPED, WORSE, UNCLEAR, TOO_FEW = "helped", "made it worse", "no clear change", "too few to tell"
FEWEST = math.ceil(math.log2(2 / LEVEL))
"""Episodes with which a two-sided sign test can tell anything: all of them better, or all worse."""
_WHOLE = {
    HELPED: "Adaptation helped",
    WORSE: "Adaptation made it worse",
    UNCLEAR: "Adaptation made no clear change",
}
_BAR = 10
"""Characters of the longest bar."""


class LiveCurve:
    """The curve of one task in a terminal; elsewhere it is a table when it is finished.

    Args:
        episodes: of every inner step.
        steps: inner steps.
        in_a_row: whether a step is one episode of a policy with memory, measured on several trials.
        quiet: show nothing before the end.
    """

    def __init__(self, episodes: int, steps: int, *, in_a_row: bool = False, quiet: bool = False) -> None:
        self._episodes, self._steps, self._in_a_row = episodes, steps, in_a_row
        self._measured: list[Array] = []
        self._live = Live(console=Console(highlight=False), transient=True, auto_refresh=True)
        self._shown = not quiet and sys.stdout.isatty()
        self._lines = not quiet and not self._shown

    def show(self, returns: Array) -> None:
        """Takes the measured episodes of the next number of steps, [episode], and shows them."""
        self._measured.append(np.asarray(returns))
        if self._lines:
            write_line(f"rollout {len(self._measured)} of {self._steps + 1}", sys.stderr)
        self._refresh()

    def table(self) -> Table:
        """The curve as far as it goes."""
        means = [float(returns.mean()) for returns in self._measured]
        lowest, highest = min(means, default=0.0), max(means, default=0.0)
        rows = []
        for step, (mean, returns) in enumerate(zip(means, self._measured, strict=True)):
            height = (mean - lowest) / (highest - lowest) if highest > lowest else 1.0
            did = verdict(self._measured[step - 1], returns) if step else ""
            interval = interval_text(over_episodes(returns))
            bar = "━" * max(1, round(_BAR * height))
            used = "" if self._in_a_row else f"{step * self._episodes}"
            rows.append((f"{step}", number_text(mean), interval, used, bar, did))
        first, what = ("episodes before", "the last episode") if self._in_a_row else ("step", "the step")
        return Table((first, "return", "95 % interval", "episodes", "", what), rows, left=("", what))

    def whole(self) -> str:
        """What all steps did together, in a sentence."""
        before, after = self._measured[0], self._measured[-1]
        noun = ("episode" if self._in_a_row else "inner step") + "s" * (self._steps != 1)
        ends = " to ".join(number_text(float(returns.mean())) for returns in (before, after))
        if (did := verdict(before, after)) == TOO_FEW:
            what = "trials" if self._in_a_row else "episodes"
            told = f"Adaptation cannot be judged by {len(before)} {what}"
            return f"{told}: from {ends} by {self._steps} {noun}; take --held_back {FEWEST} or more."
        return f"{_WHOLE[did]}: from {ends} by {self._steps} {noun}."

    def __enter__(self) -> LiveCurve:
        if self._shown:
            self._live.start()
            self._refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._live.stop()

    def _refresh(self) -> None:
        if self._shown:
            done = len(self._measured)
            if not done:
                self._live.update(Spinner("dots", "episodes before adaptation"))
                return
            self._live.update(self.table().rich(), refresh=True)


def verdict(before: Array, after: Array) -> str:
    """What a step did, by a two-sided sign test over episodes.

    "helped", "made it worse", "no clear change", or "too few to tell".

    Args:
        before: returns of the episodes before the step, [episode]: held-back ones, or those it adapted to.
        after: of fresh ones; of policies with memory, of the same trials in the same order.
    """
    if len(before) < FEWEST:
        return TOO_FEW
    if 2 * sign_test(before, after) <= LEVEL:
        return HELPED
    return WORSE if 2 * sign_test(after, before) <= LEVEL else UNCLEAR
