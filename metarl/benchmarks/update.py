"""The update of a meta-learner, and MAML's curvature product computed in several ways."""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from metarl.benchmarks.measures import TORCH_THREADS, Row, alternate, line, meta_batch, resident, seconds
from metarl.compute.task_map import select_task
from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.experiments import ExperimentConfig
from metarl.math.parameters import Parameters, flatten
from metarl.meta_learners.inner.rule import PlainSteps
from metarl.meta_learners.maml import MamlConfig, plain_steps
from metarl.meta_learners.outer.curvature import generic_curvature_product
from metarl.meta_learners.outer.mlp_curvature import mlp_curvature_product
from metarl.meta_learners.outer.outer_step import CurvatureProduct
from metarl.objectives.policy_gradient import mean_kl, memoryless
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import TaskState
from metarl.rollouts.rollout import Batch, MetaBatch
from metarl.training.progress_bar import track

HAND, GENERIC, RETAINED = "hand-derived product", "torch.func product", "double-backward product"
THREADS = {HAND: 1, GENERIC: 1, RETAINED: TORCH_THREADS, f"{RETAINED}, 1 thread": 1}


def update(experiment: Experiment, repeats: int) -> list[Row]:
    """Seconds of the update on a collected meta-batch, of any meta-learner.

    Of MAML's on a Gaussian MLP, with a step size that is not learned and all inner steps alike: also seconds
    of its curvature product computed in several ways, their memory, and their relative distance from the
    double-backward product.
    """
    theta, batch = meta_batch(experiment)
    whole = partial(seconds, partial(experiment.learner.update, experiment.learner.start(theta), batch))
    turns = track(range(repeats + 1), repeats + 1, "turn", title="learner.update")
    rows = [line("learner.update", "s", [whole() for _ in turns][1:])]
    return rows if plain_maml(experiment) is None else rows + products_of(experiment, theta, batch, repeats)


def plain_maml(experiment: Experiment) -> PlainSteps | None:
    """The inner steps of a learner whose curvature product is derived by hand; None of any other."""
    policy, settings = experiment.policy, experiment.config.meta_learner
    if not (isinstance(settings, MamlConfig) and isinstance(policy, GaussianMLP)) or settings.learn_step_size:
        return None
    return plain_steps(policy, settings)


def products_of(experiment: Experiment, theta: Parameters, batch: MetaBatch, repeats: int) -> list[Row]:
    """Seconds, memory and distances of the curvature product computed in several ways."""
    make = {kind: partial(product, kind, experiment, theta, batch) for kind in THREADS}
    kept = {f"prepare {k}": partial(seconds, make[k], n) for k, n in THREADS.items() if k != GENERIC}
    rows = alternate(kept, "s", repeats)
    products, vector = {kind: call() for kind, call in make.items()}, torch.randn_like(flatten(theta))
    calls = {k: partial(seconds, partial(products[k], vector), n) for k, n in THREADS.items()}
    found = alternate(calls, "s", repeats)
    images = {kind: product(vector) for kind, product in products.items()}
    del products, calls
    for row in track(found, len(found), "row", title="memory"):
        error = images[row["name"]] - images[RETAINED]
        row["relative_difference"] = (error.norm() / images[RETAINED].norm()).item()
        with multiprocessing.get_context("spawn").Pool(1) as child:
            row["peak_gib"] = child.apply(peak_memory, (row["name"], experiment.config))
    return rows + found


def product(kind: str, experiment: Experiment, theta: Parameters, batch: MetaBatch) -> CurvatureProduct:
    """v -> the Hessian of the mean KL through the adaptation, times v."""
    policy, task_map = memoryless(experiment.policy), experiment.task_map
    if kind == HAND:
        rule = plain_maml(experiment)
        assert isinstance(policy, GaussianMLP)
        assert rule is not None
        return mlp_curvature_product(policy, rule, theta, batch, task_map)

    def adapt_task(parameters: Parameters, support: Sequence[Batch]) -> Parameters:
        state = TaskState(parameters)
        for data in support:
            state = experiment.learner.adapt(state, data)
        return state.parameters

    if kind == GENERIC:
        return generic_curvature_product(policy, adapt_task, theta, *batch, task_map)
    leaves = {name: value.clone().requires_grad_() for name, value in theta.items()}

    def gradient(value: torch.Tensor, create_graph: bool) -> torch.Tensor:
        pieces = torch.autograd.grad(value, [*leaves.values()], retain_graph=True, create_graph=create_graph)
        return torch.cat([piece.flatten() for piece in pieces])

    divergences = []
    for task in range(batch.tasks):
        adapted = adapt_task(leaves, [select_task(data, task) for data in batch.support])
        divergences.append(mean_kl(policy)(adapted, select_task(batch.query, task)))
    slope = gradient(torch.stack(divergences).mean(), create_graph=True)
    return lambda vector: gradient(slope.dot(vector), create_graph=False)


def peak_memory(kind: str, config: ExperimentConfig) -> float:
    """GiB that preparing a product and one product add, at their peak, to a process that holds the batch."""
    torch.set_num_threads(1)
    experiment = build_experiment(config)
    theta, batch = meta_batch(experiment)
    ctypes.CDLL(None).malloc_trim(0)  # or memory freed but not yet returned would not be counted
    before = resident("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    torch.set_num_threads(THREADS[kind])
    product(kind, experiment, theta, batch)(flatten(theta))
    return resident("VmHWM") - before
