"""The curvature product for the Gaussian MLP, derived by hand: exact, and a fraction of the cost.

Pearlmutter's R-operator (Pearlmutter 1994) written out. What does not depend on the vector (layer
inputs h, slopes s = act'(z), inner deltas d) is computed once an update; a product is then matrix
multiplications on it, one task at a time, so that a task stays in cache. What is kept of all tasks is
bounded: those beyond are passed through anew at every product, to the same bits.

    J v = v - alpha H v for every inner step,   H = Hessian of the inner loss
    u   = F J v,                                 F = Fisher matrix on the query batch
    J'u = u - H (alpha u) in reverse order

A learned log alpha is one more number a of v: a step adds -a alpha g, g the inner gradient, and its
transpose collects -alpha g'u.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from metarl.compute.task_map import TaskMap, select_task
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters, flatten, unflatten
from metarl.meta_learners.inner.gradient_step import inner_step
from metarl.meta_learners.inner.rule import PlainSteps
from metarl.meta_learners.outer.mlp_passes import Network, backward, forward, tangent_forward
from metarl.objectives.policy_gradient import InnerObjective
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.rollouts.rollout import Batch, MetaBatch

FlatProduct = Callable[[Tensor], Tensor]
KEPT_BYTES = 2**30
"""Of the passes that are kept from one product to the next, about."""


def mlp_curvature_product(
    policy: GaussianMLP,
    rule: PlainSteps,
    parameters: Parameters,
    batch: MetaBatch,
    task_map: TaskMap,
) -> FlatProduct:
    """v [D] -> mean_i J_i' F_i J_i v [D]; equals `generic_curvature_product`."""
    sizes: Sequence[float] = rule.step_sizes
    own = parameters
    if rule.log_size is not None:
        learned = parameters[rule.log_size].exp().item()
        sizes = [learned * size / rule.step_sizes[0] for size in rule.step_sizes]
        own = {name: value for name, value in parameters.items() if name != rule.log_size}

    def path_of(task: int) -> list[Parameters]:
        path = [own]
        for data, step_size in zip(batch.support, sizes, strict=True):
            path.append(inner_step(rule.loss, path[-1], select_task(data, task), step_size))
        return path

    def pushes_of(task: int) -> list[Tensor]:
        return [
            -step_size * flatten(torch.func.grad(rule.loss)(theta, select_task(data, task)))
            for theta, data, step_size in zip(paths[task][:-1], batch.support, sizes, strict=True)
        ]

    def prepare(task: int) -> FlatProduct:
        fisher = _fisher_product(policy, paths[task][-1], select_task(batch.query, task))
        steps = [
            _step_product(policy, rule, theta, select_task(data, task), step_size)
            for theta, data, step_size in zip(paths[task][:-1], batch.support, sizes, strict=True)
        ]
        if rule.log_size is None:
            return _task_curvature_product(steps, fisher)
        return _with_learned_size(steps, pushes[task], fisher)

    with torch.no_grad():
        paths = task_map.run([partial(path_of, task) for task in range(batch.tasks)])
        pushes = task_map.run([partial(pushes_of, task) for task in range(batch.tasks) if rule.log_size])
        kept = task_map.run([partial(prepare, task) for task in range(_tasks_kept(policy, rule, batch))])

    def task_product(task: int, vector: Tensor) -> Tensor:
        return (kept[task] if task < len(kept) else prepare(task))(vector)

    def product(vector: Tensor) -> Tensor:
        with torch.no_grad():
            results = task_map.run([partial(task_product, task, vector) for task in range(batch.tasks)])
        mean: Tensor = task_map.mean(torch.stack(results))
        return mean

    return product


def _tasks_kept(policy: GaussianMLP, rule: PlainSteps, batch: MetaBatch) -> int:
    """How many tasks' passes fit: layers' inputs and slopes, and of a Hessian deltas and curls."""
    hidden, outer = sum(policy.hidden_sizes), policy.observation_size + 3 * policy.action_size
    held = torch.zeros(batch.tasks, dtype=torch.int64)
    passes = (
        [(batch.query, 2)] if rule.first_order else [(batch.query, 2), *((one, 4) for one in batch.support)]
    )
    for data, of_hidden in passes:
        held += data.valid.sum((-2, -1)) * (of_hidden * hidden + outer)
    return int((held.cumsum(0) * batch.query.observations.element_size() <= KEPT_BYTES).sum())


def _step_product(
    policy: GaussianMLP, rule: PlainSteps, theta: Parameters, support: Batch, step_size: float
) -> FlatProduct:
    """v [D] -> (I - alpha H) v, which is symmetric; of a first-order step v itself."""
    if rule.first_order:
        return lambda vector: vector
    hessian = hessian_product(policy, rule.objective, theta, support)
    return lambda vector: vector - step_size * hessian(vector)


def _task_curvature_product(steps: Sequence[FlatProduct], fisher: FlatProduct) -> FlatProduct:
    """v [D] -> J' F J v [D] of one task."""

    def product(vector: Tensor) -> Tensor:
        for step in steps:
            vector = step(vector)
        vector = fisher(vector)
        for step in reversed(steps):
            vector = step(vector)
        return vector

    return product


def _with_learned_size(
    steps: Sequence[FlatProduct], pushes: Sequence[Tensor], fisher: FlatProduct
) -> FlatProduct:
    """v [D + 1] -> J' F J v [D + 1] of one task; the last number is log alpha's.

    Args:
        pushes: -alpha g of every inner step, [D]: its derivative in log alpha.
    """

    def product(vector: Tensor) -> Tensor:
        vector, log_size = vector[:-1], vector[-1]
        for step, push in zip(steps, pushes, strict=True):
            vector = step(vector) + log_size * push
        vector, collected = fisher(vector), torch.zeros_like(log_size)
        for step, push in reversed([*zip(steps, pushes, strict=True)]):
            collected = collected + push.dot(vector)
            vector = step(vector)
        return torch.cat((vector, collected.reshape(1)))

    return product


def hessian_product(
    policy: GaussianMLP, objective: InnerObjective, parameters: Parameters, batch: Batch
) -> FlatProduct:
    """v [D] -> (Hessian of the inner loss) v [D] on one task's batch [episode, time, ...]."""
    valid = batch.valid
    network = forward(policy, parameters, batch.observations[valid])
    loss = _OutputLoss.at(network, batch, objective)
    deltas, curls = backward(policy, network, loss.mean_delta)

    def product(vector: Tensor) -> Tensor:
        tangent = unflatten(vector, parameters)
        directions = [tangent[f"{name}.weight"] for name in policy.layer_names]
        hidden_tangents, mean_tangent = tangent_forward(policy, network, tangent)
        delta_tangent, log_std_part = loss.tangent(mean_tangent, tangent["log_std"] * network.std_is_free)
        pieces: list[Tensor] = [log_std_part * network.std_is_free]
        for layer in reversed(range(len(network.weights))):
            weight_part = delta_tangent.T @ network.inputs[layer]
            if layer > 0:
                weight_part.addmm_(deltas[layer].T, hidden_tangents[layer])
            pieces += [delta_tangent.sum(0), weight_part]
            if layer > 0:
                error_tangent = delta_tangent @ network.weights[layer]
                error_tangent.addmm_(deltas[layer], directions[layer])
                delta_tangent = error_tangent.mul_(network.slopes[layer - 1])
                if curls is not None:
                    delta_tangent.addcmul_(curls[layer - 1], hidden_tangents[layer])
        return torch.cat([piece.reshape(-1) for piece in reversed(pieces)])

    return product


def _fisher_product(policy: GaussianMLP, parameters: Parameters, batch: Batch) -> FlatProduct:
    """v [D] -> F v [D]: out' F_output out, with out the Jacobian of (mean, log std) in the parameters."""
    network = forward(policy, parameters, batch.observations[batch.valid])
    mean_weight = 1 / (network.std.square() * len(network.mean))

    def product(vector: Tensor) -> Tensor:
        tangent = unflatten(vector, parameters)
        _, mean_tangent = tangent_forward(policy, network, tangent)
        delta = mean_tangent.mul_(mean_weight)
        pieces: list[Tensor] = [2 * tangent["log_std"] * network.std_is_free]
        for layer in reversed(range(len(network.weights))):
            pieces += [delta.sum(0), delta.T @ network.inputs[layer]]
            if layer > 0:
                delta = (delta @ network.weights[layer]).mul_(network.slopes[layer - 1])
        return torch.cat([piece.reshape(-1) for piece in reversed(pieces)])

    return product


@dataclass(frozen=True)
class _OutputLoss:
    """The inner loss as a function of the network's output: sum_n c_n score_n, c = -weight advantage (ratio).

    Args:
        coefficient: c, [N, 1].
        z: (action - mean) / std, [N, action].
        std: [action].
        ratio_is_differentiated: "lvc", where c holds the probability ratio.
    """

    coefficient: Tensor
    z: Tensor
    std: Tensor
    ratio_is_differentiated: bool

    @classmethod
    def at(cls, network: Network, batch: Batch, objective: InnerObjective) -> _OutputLoss:
        valid = batch.valid
        coefficient = -batch.advantages[valid].unsqueeze(-1) / valid.sum()
        z = (batch.actions[valid] - network.mean) / network.std
        if objective == "lvc":
            mean, log_std = cast(DiagonalGaussian, batch.behaviour)
            behaviour_z = (batch.actions - mean) * (-log_std).exp()
            log_density = -(0.5 * behaviour_z.square() + log_std)[valid].sum(-1, keepdim=True)
            new = -(0.5 * z.square() + network.std.log()).sum(-1, keepdim=True)
            coefficient = coefficient * (new - log_density).exp()
        return cls(coefficient, z, network.std, objective == "lvc")

    @property
    def mean_delta(self) -> Tensor:
        """The derivative in the mean; [N, action]."""
        return self.coefficient * (self.z / self.std)

    def tangent(self, mean_tangent: Tensor, log_std_tangent: Tensor) -> tuple[Tensor, Tensor]:
        """Tangents of the derivatives in the mean [N, action] and in the log std [action]."""
        z, std, c = self.z, self.std, self.coefficient
        z_tangent = -(mean_tangent / std + z * log_std_tangent)
        mean_part = c * (z_tangent - z * log_std_tangent) / std
        log_std_part = (2 * c * z * z_tangent).sum(0)
        if self.ratio_is_differentiated:
            score_tangent = (z / std * mean_tangent + (z.square() - 1) * log_std_tangent).sum(
                -1, keepdim=True
            )
            c_tangent = c * score_tangent
            mean_part = mean_part + c_tangent * (z / std)
            log_std_part = log_std_part + (c_tangent * (z.square() - 1)).sum(0)
        return mean_part, log_std_part
