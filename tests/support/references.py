"""The algorithms by plain autograd, one task and one inner step at a time: what proofs compare with.

Independent of the package: the network, the losses and the inner rules are written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metarl.compute.task_map import select_task
from metarl.rollouts.rollout import Batch, MetaBatch

Theta = dict[str, Tensor]
Activation = Callable[[Tensor], Tensor]
STEP_SIZE = "step_size."


def log_density(mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    """By torch.distributions, independently of metarl.math.gaussian."""
    return torch.distributions.Normal(mean, log_std.exp()).log_prob(actions).sum(-1)


def network(theta: Theta, observations: Tensor, activation: Activation = torch.tanh) -> tuple[Tensor, Tensor]:
    """Mean and log standard deviation of a network, told the context if there is one."""
    hidden = observations
    if "context" in theta:
        hidden = torch.cat((hidden, theta["context"].expand(*hidden.shape[:-1], -1)), -1)
    for weight in sorted(n for n in theta if n.startswith("hidden") and n.endswith("weight")):
        bias = weight.replace("weight", "bias")
        hidden = activation(hidden @ theta[weight].T + theta[bias])
    mean = hidden @ theta["mean.weight"].T + theta["mean.bias"]
    return mean, theta["log_std"].expand_as(mean)


def ratio(theta: Theta, batch: Batch) -> Tensor:
    return (log_density(*network(theta, batch.observations), batch.actions) - batch.behaviour_log_prob).exp()


def inner_loss(theta: Theta, batch: Batch, objective: str, activation: Activation = torch.tanh) -> Tensor:
    score = log_density(*network(theta, batch.observations, activation), batch.actions)
    if objective == "lvc":
        score = (score - batch.behaviour_log_prob).exp()
    return -(score * batch.advantages)[batch.valid].mean()


def surrogate(theta: Theta, batch: Batch, clip: float | None) -> Tensor:
    r, a = ratio(theta, batch)[batch.valid], batch.advantages[batch.valid]
    if clip is None:
        return (r * a).mean()
    gains = torch.where(a > 0, torch.where(r > 1 + clip, (1 + clip) * a, r * a), r * a)
    return torch.where((a < 0) & (r < 1 - clip), (1 - clip) * a, gains).mean()


def kl(theta: Theta, batch: Batch, activation: Activation = torch.tanh) -> Tensor:
    mean, log_std = network(theta, batch.observations, activation)
    behaviour = torch.distributions.Normal(batch.behaviour.mean, batch.behaviour.log_std.exp())
    divergence = torch.distributions.kl_divergence(behaviour, torch.distributions.Normal(mean, log_std.exp()))
    return divergence.sum(-1)[batch.valid].mean()


def sizes(name: str, theta: Theta, k: int, config: Any) -> dict[str, Any]:
    """The step size of every parameter that inner step k moves."""
    alpha = config.inner_step_size * (config.later_step_scale if k else 1.0)
    own = [n for n in theta if not n.startswith(STEP_SIZE)]
    if name == "anil":
        own = ["mean.weight", "mean.bias"]
    if name == "cavia":
        own = ["context"]
    if name == "meta_sgd":
        return {n: theta[STEP_SIZE + n] * (config.later_step_scale if k else 1.0) for n in own}
    if name == "maml_pp":
        return {n: theta[f"{STEP_SIZE}{k}.{n.replace('.weight', '').replace('.bias', '')}"] for n in own}
    if f"{STEP_SIZE}log" in theta:
        alpha = theta[f"{STEP_SIZE}log"].exp() * (config.later_step_scale if k else 1.0)
    return dict.fromkeys(own, alpha)


def path(
    name: str,
    theta: Theta,
    support: Sequence[Batch],
    config: Any,
    constant: Callable[[int], bool] = lambda k: False,
    activation: Activation = torch.tanh,
) -> list[Theta]:
    """theta^0 ... theta^K; `constant`(k) says whose gradients are not differentiated."""
    passed = [theta]
    for k, batch in enumerate(support):
        at = {n: value if value.requires_grad else value.requires_grad_() for n, value in passed[-1].items()}
        moving = sizes(name, at, k, config)
        loss = inner_loss(at, batch, config.inner_objective, activation)
        gradients = torch.autograd.grad(loss, [at[n] for n in moving], create_graph=True)
        moved = dict(at)
        for n, gradient in zip(moving, gradients, strict=True):
            moved[n] = at[n] - moving[n] * (gradient.detach() if constant(k) else gradient)
        passed.append(moved)
    return passed


def outer_gain(
    name: str,
    theta: Theta,
    batch: MetaBatch,
    config: Any,
    *,
    clip: float | None = None,
    weights: Sequence[float] = (),
    constant: Callable[[int], bool] = lambda k: False,
) -> Tensor:
    """J(theta): the tasks' mean gain, with a graph back to theta.

    Args:
        weights: MAML++'s, of the loss after every inner step.
    """
    gains = []
    for i in range(batch.tasks):
        support, query = [select_task(data, i) for data in batch.support], select_task(batch.query, i)
        passed = path(name, theta, support, config, constant)
        gain = surrogate(passed[-1], query, clip)
        if name == "promp":
            gain = gain - config.kl_penalty * sum(map(kl, passed[:-1], support)) / len(support)
        if name == "e_maml":
            for at, data in zip(passed[:-1], support, strict=True):
                gain = gain + config.credit_weight * credit(batch, i) * ratio(at, data)[data.valid].mean()
        if name == "maml_pp":
            judged = zip(weights, passed[1:], [*support[1:], query], strict=True)
            gain = sum(weight * surrogate(at, data, clip) for weight, at, data in judged)
        gains.append(gain)
    return torch.stack(gains).mean()


def credit(batch: MetaBatch, task: int) -> float:
    """A task's mean return above that of the other tasks, in standard deviations over tasks."""
    means = [returns.mean().item() for returns in batch.query.returns]
    if len(means) == 1:
        return means[0]
    others = [mean for i, mean in enumerate(means) if i != task]
    return (means[task] - sum(others) / len(others)) / torch.tensor(means, dtype=torch.float64).std().item()


def mean_kl(
    name: str,
    theta: Theta,
    batch: MetaBatch,
    config: Any,
    constant: Callable[[int], bool] = lambda k: False,
    activation: Activation = torch.tanh,
) -> Tensor:
    """The tasks' mean KL of the adapted policies from those that sampled the query batches."""
    divergences = []
    for i in range(batch.tasks):
        support = [select_task(data, i) for data in batch.support]
        adapted = path(name, theta, support, config, constant, activation)[-1]
        divergences.append(kl(adapted, select_task(batch.query, i), activation))
    return torch.stack(divergences).mean()
