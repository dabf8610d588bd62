"""Signal and noise of vectors that are estimated several times."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Signal(NamedTuple):
    """Mean squared lengths over the tasks, none of them biased: a signal that is not there is 0 on average.

    Args:
        signal: of every task's expected vector.
        noise: of what one estimate differs from it by.
        common: of what all tasks' expected vectors have in common.
    """

    signal: float
    noise: float
    common: float

    @property
    def ratio(self) -> float:
        """Signal to noise of one estimate, of squared lengths."""
        return self.signal / self.noise if self.noise > 0 else float("nan")

    @property
    def cosine(self) -> float:
        """That two estimates of one task have, about: signal / (signal + noise)."""
        whole = self.signal + self.noise
        return self.signal / whole if whole > 0 else float("nan")

    @property
    def common_share(self) -> float:
        """Of the signal, what all tasks have in common."""
        return self.common / self.signal if self.signal > 0 else float("nan")


def signal_and_noise(estimates: Tensor) -> Signal:
    """The signal and noise of independent estimates.

    |m|^2 = |s|^2 + noise / rounds for a mean m of the rounds, whose noise the spread over rounds tells; means
    of two tasks have independent noise, so that m_i.m_j is s_i.s_j on average.

    Args:
        estimates: [round, task, D], two rounds or more of two tasks or more.
    """
    rounds, tasks = estimates.shape[:2]
    values = estimates.double()
    means = values.mean(0)
    noise = values.var(0).sum(-1)
    own = means.square().sum(-1)
    common = (means.sum(0).square().sum() - own.sum()) / (tasks * (tasks - 1))
    return Signal((own - noise / rounds).mean().item(), noise.mean().item(), common.item())
