"""How long the episodes of a batch have lasted, and which of them are over."""

from __future__ import annotations

import numpy as np

from metarl_envs.vector_arguments import Bools


class EpisodeClock:
    """Steps and ends of the environments' present episodes.

    Args:
        num_envs: number of environments.

    Attributes:
        terminated, truncated: how the episodes ended, [env].
    """

    def __init__(self, num_envs: int) -> None:
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self.terminated = np.zeros(num_envs, dtype=np.bool_)
        self.truncated = np.zeros(num_envs, dtype=np.bool_)

    @property
    def over(self) -> Bools:
        """Which episodes have ended, [env]."""
        return self.terminated | self.truncated

    def restart(self, mask: Bools) -> None:
        """Starts new episodes there."""
        self._elapsed[mask] = 0
        self.terminated[mask] = False
        self.truncated[mask] = False

    def advance(self, active: Bools, terminated: Bools, max_steps: int | None) -> None:
        """Counts a step of the active environments; ends those that terminated or lasted too long.

        Args:
            active, terminated: [env].
            max_steps: steps after which an episode is truncated; None for never.
        """
        self._elapsed += active
        self.terminated |= active & terminated
        if max_steps is not None:
            self.truncated |= active & (self._elapsed >= max_steps)
