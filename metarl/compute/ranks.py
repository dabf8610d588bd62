"""Processes that share out the tasks, by `torch.distributed`: `torchrun -m metarl train ...`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]  # public, but not in its stubs
from torch.distributed.rendezvous import rendezvous

from metarl.compute.heartbeat import SILENCE, heartbeat
from metarl.compute.reduction import Reduction
from metarl.errors import RanksError

Value = TypeVar("Value")
Result = TypeVar("Result")

RANK_SECONDS = 600
"""How long a rank waits for the others: longer than what the first one alone does between two exchanges."""

_GATHERED_BYTES = 2**24
"""Up to so many, the mean is of all tasks' values: its bits do not depend on how they are shared out."""


class Ranks(Reduction):
    """This process among those of the default process group. All call the same methods in the same order.

    The mean is that of one process to the bit, but of very large values, whose sums are taken in float64.

    Raises:
        RanksError: from every method but `share` and `own`: another rank is gone, or did not answer in time.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def mean(self, values: Tensor) -> Tensor:
        counts = self._counts(values)
        each = values.new_empty(values.shape[1:]).nbytes
        if each * sum(counts) <= _GATHERED_BYTES:
            return self._gather(values, counts).mean(0)
        flat = values.detach().double().sum(0).reshape(-1)
        mean = self.total(flat) / sum(counts)
        return mean.to(values.dtype).reshape(values.shape[1:])

    def total(self, values: Tensor) -> Tensor:
        sums = values.detach().clone()
        self._call(lambda: dist.all_reduce(sums))
        return sums

    def gather(self, values: Tensor) -> Tensor:
        return self._gather(values, self._counts(values))

    def exchange(self, value: Value) -> list[Value]:
        found: list[Any] = [None] * self.size
        self._call(lambda: dist.all_gather_object(found, value))
        return found

    def agree(self, value: Value) -> Value:
        found: list[Any] = [value if self.first else None]
        self._call(lambda: dist.broadcast_object_list(found, src=0))
        agreed: Value = found[0]
        return agreed

    def _counts(self, values: Tensor) -> list[int]:
        """How many tasks every rank has values of."""
        own = torch.tensor([len(values)], device=values.device)
        found = [torch.empty_like(own) for _ in range(self.size)]
        self._call(lambda: dist.all_gather(found, own))
        return [int(count) for count in found]

    def _gather(self, values: Tensor, counts: Sequence[int]) -> Tensor:
        """The values of all ranks, who have so many each."""
        numbers = values.detach().to(torch.uint8 if values.dtype == torch.bool else values.dtype)
        padded = numbers.new_zeros(max(counts), *values.shape[1:])
        padded[: len(values)] = numbers
        found = [torch.empty_like(padded) for _ in counts]
        self._call(lambda: dist.all_gather(found, padded))
        pieces = [one[:count] for one, count in zip(found, counts, strict=True)]
        return torch.cat(pieces).to(values.dtype)

    def _call(self, collective: Callable[[], Result]) -> Result:
        try:
            return collective()
        except RuntimeError as error:
            what = str(error).splitlines()[0]
            raise RanksError(
                f"rank {self.rank}: expected all {self.size} ranks to answer, lost one, whose own line "
                f"tells why ({what}); every finished iteration is kept: go on with --resume true"
            ) from error


@contextmanager
def joined_ranks(seconds: int = RANK_SECONDS) -> Iterator[Reduction]:
    """Joins the processes that torchrun started, if it did; else this process is the only one.

    A process group that is there already is used, and left as it is.

    Args:
        seconds: how long a rank waits for one that lives before it ends; for one that gives no sign of life,
            at most `SILENCE`, and half as long.

    Raises:
        RanksError: they do not find each other.
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks() if dist.get_world_size() > 1 else Reduction()
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or "MASTER_ADDR" not in os.environ:
        yield Reduction()
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(_local_rank() % torch.cuda.device_count())
        backend = "cpu:gloo,cuda:nccl"
    try:
        store, rank, size = next(rendezvous("env://", timeout=timedelta(seconds=seconds)))
        store = _of_this_start(store)
        dist.init_process_group(
            backend,
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=seconds),
        )
    except RuntimeError as error:
        raise RanksError(f"expected ranks that find each other, got {str(error).splitlines()[0]}") from error
    try:
        with _own_cpus(), heartbeat(store, rank, size, min(-(-seconds // 2), SILENCE)):
            yield Ranks()
    finally:
        dist.destroy_process_group()


def _of_this_start(store: Store) -> Store:
    """The store without what processes left there that torchrun started before, and whose addresses are dead.

    torchrun keeps one store over restarts. Machines count restarts each for itself: with several, its option
    TORCH_DISABLE_SHARE_RDZV_TCP_STORE makes a store for every start.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return store
    return PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


@contextmanager
def _own_cpus() -> Iterator[None]:
    """Runs on this rank's share of the CPUs: all that takes a thread per CPU follows from what it may use."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = sorted(os.sched_getaffinity(0))
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    own = _local_rank() % ranks  # without torchrun, LOCAL_WORLD_SIZE may be missing
    first, end = (len(before) * number // ranks for number in (own, own + 1))
    os.sched_setaffinity(0, before[first : max(end, first + 1)])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _local_rank() -> int:
    """This process's number among the ranks of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))
