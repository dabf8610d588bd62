"""Groups of rows that ranks share out, and rows of some of them brought to all ranks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap


class SharedGroups:
    """All ranks' groups in the order of their labels; a group is on the rank of its label.

    Args:
        labels: of this rank's groups, ascending, [own group].
        counts: of the rows of each, several kinds of them, [own group] each.
    """

    def __init__(self, labels: Tensor, counts: list[Tensor], task_map: TaskMap) -> None:
        self._task_map = task_map
        everywhere, *all_counts = task_map.all_tasks([labels, *counts])
        order = torch.argsort(everywhere)
        everywhere = everywhere[order]
        self.counts = [of[order] for of in all_counts]
        self._rank = everywhere % task_map.reduction.size
        self._place = torch.full_like(order, -1)
        self._place[torch.searchsorted(everywhere, labels)] = torch.arange(len(labels))

    def __len__(self) -> int:
        return len(self._rank)

    def own(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the chosen groups are this rank's, [chosen] bool, and their places among its own."""
        place = self._place[chosen]
        return place >= 0, place[place >= 0]

    def brought(self, chosen: Tensor, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What all ranks give of the chosen groups, in the order of the draw; [chosen, ...] each.

        Args:
            rows: of this rank's ones in that order, [own chosen, ...].
        """
        gathered = self._task_map.all_tasks(dict(rows))
        # They come by rank, each one's in the order of the draw.
        back = torch.argsort(torch.argsort(self._rank[chosen], stable=True))
        return {name: value[back] for name, value in gathered.items()}
