"""Two ranks in two threads; what they have is added by hand."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import torch

from metarl.compute.task_map import Reduction


class Exchange:
    """Two threads, one of which works at a time, give each other what they have.

    Args:
        sizes: tasks of each.
    """

    def __init__(self, sizes):
        self.sizes = sizes
        self._both, self._turn, self._given = Barrier(2), Lock(), {}

    def work(self, function, rank):
        with self._turn:
            return function(Half(rank, self))

    def both(self, function):
        """What function(reduction, rank) returns in each thread."""

        def of(rank):
            try:
                return self.work(lambda reduction: function(reduction, rank), rank)
            except BaseException:
                self._both.abort()
                raise

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(of, (0, 1)))

    def swap(self, rank, call, value):
        self._given[call, rank] = value
        self._turn.release()
        try:
            self._both.wait(timeout=120)
        finally:
            self._turn.acquire()
        return [self._given[call, each] for each in (0, 1)]


class Half(Reduction):
    """One of two ranks; what they have is added by hand."""

    def __init__(self, rank, exchange):
        self.rank, self.size = rank, 2
        self._exchange, self._calls = exchange, 0

    def _swap(self, value):
        self._calls += 1
        return self._exchange.swap(self.rank, self._calls, value)

    def mean(self, values):
        (one, other), (n, m) = self._swap(values.sum(0)), self._swap(len(values))
        return (one + other) / (n + m)

    def gather(self, values):
        return torch.cat(self._swap(values))

    def own(self, values):
        return values.split(self._exchange.sizes)[self.rank]
