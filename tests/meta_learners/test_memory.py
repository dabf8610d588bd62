"""The memory ladder: what an update holds at its peak, as the inner loop grows."""

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from metarl.compute.task_map import TaskMap
from metarl.rollouts.rollout import MetaBatch
from tests.support.tiny import by_adam, sampled_meta_batch, tiny_learner, tiny_state

TIMES = 40  # the tiny batch's episodes, so that activations outweigh parameters
SHORT, LONG = 3, 9


class Peak(TorchDispatchMode):
    """The most bytes that were alive at once of what operations made."""

    def __init__(self):
        super().__init__()
        self.bytes = 0
        self._alive = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self._alive = {at: kept for at, kept in self._alive.items() if not kept[0].expired()}
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self._alive.setdefault(storage.data_ptr(), (StorageWeakRef(storage), storage.nbytes()))
        self.bytes = max(self.bytes, sum(size for _, size in self._alive.values()))
        return made


class InOrder(TaskMap):
    """Runs on the caller's thread, where a dispatch mode sees it."""

    def run(self, calls):
        return [call() for call in calls]


def peak(name, inner_steps, **settings):
    """Bytes of an update whose every batch is the same."""
    learner, _ = tiny_learner(name, inner_steps, task_map=InOrder(None, 1), **settings)
    theta = tiny_state(learner)
    batch = sampled_meta_batch(learner, theta).query
    data = tree_map(lambda part: part.repeat(1, TIMES, *[1] * (part.ndim - 2)), batch)
    with Peak() as measured:
        learner.update(learner.start(theta), MetaBatch((data,) * learner.inner_steps, data))
    return measured.bytes


def growth(name, **settings):
    return peak(name, LONG, **settings) / peak(name, SHORT, **settings)


def second_order(name):
    """MAML++ differentiates twice, and judges the last step alone, from the start."""
    own = {"first_order_updates": 0, "multi_step_updates": 0} if name == "maml_pp" else {}
    return {**by_adam(name), **own}


@pytest.mark.parametrize("name", ["maml", "maml_pp"])
def test_second_order_grows_with_the_inner_steps_unless_recomputed(name):
    assert growth(name, **second_order(name)) > 2
    assert growth(name, **second_order(name), recompute=True) < 1.1


@pytest.mark.parametrize(("key", "value"), [("first_order", True), ("differentiated_steps", 1)])
def test_truncation_does_not_grow(key, value):
    assert growth("maml", **by_adam("maml"), **{key: value}) < 1.1


@pytest.mark.parametrize("name", ["imaml", "reptile"])
def test_what_differentiates_no_path_does_not_grow(name):
    short = {"solver_steps": 2, "solution_cg_iterations": 2} if name == "imaml" else {}
    assert growth(name, **by_adam(name), **short) < 1.1
