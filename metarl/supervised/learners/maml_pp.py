"""MAML++ (Antoniou et al. 2019): learned step sizes, batch norms and losses of every inner step.

theta^{k+1}_i = theta^k_i - alpha_{k, layer} grad L_k(theta^k_i; support_i)   (section 4, LSLR)
J(theta)      = mean_i sum_k w_k L_k(theta^{k+1}_i; query_i)                  (eq. 3), w moving to the last

L_k normalises batches by scales and shifts of step k (BNWB); the first updates are first-order (DA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.gains import multi_step_weights, weighted_sum
from metarl.meta_learners.inner.gradient_rules import learned_layer_sizes
from metarl.meta_learners.inner.gradient_step import inner_path
from metarl.meta_learners.inner.meta_gradient import MetaGradient, Path
from metarl.meta_learners.inner.rule import InnerRule
from metarl.meta_learners.settings import AtLeast
from metarl.supervised.examples import Episodes, Examples
from metarl.supervised.learners.learner import Learner, compose
from metarl.supervised.learners.settings import StepConfig
from metarl.supervised.model import Model


@dataclass(frozen=True)
class MamlPpConfig(StepConfig):
    """MAML++.

    Args:
        inner_step_size: where all learned step sizes start.
        inner_steps: K; later steps of an evaluation take the last one's sizes and norms.
        step_size_learning_rate: the rate of the learned step sizes, which follow the schedule of `adam`.
        multi_step_updates: updates over which the loss moves to the last inner step; 0 for it alone.
        first_order_updates: updates at the start that treat inner gradients as constants.
        recompute: keep one inner step's graph at a time: memory that does not grow with inner_steps.
    """

    inner_steps: PositiveInt = 5
    step_size_learning_rate: PositiveFloat = 1e-3
    multi_step_updates: NonNegativeInt = 500
    first_order_updates: NonNegativeInt = 0
    recompute: bool = False

    read_with: ClassVar[dict[str, Any]] = {"multi_step_updates": {"inner_steps": AtLeast(2)}}


class Numbered(NamedTuple):
    """Examples with the number of the inner step that sees them, []; of several tasks [task, ...]."""

    examples: Examples
    step: Tensor


class NumberedTasks(NamedTuple):
    """Tasks as the rule takes them, tensors [task, ...]."""

    support: tuple[Numbered, ...]
    query: Numbered

    @property
    def tasks(self) -> int:
        return len(self.query.step)


def maml_pp(model: Model, config: MamlPpConfig, task_map: TaskMap) -> Learner:
    """The learner J = mean_i sum_k w_k L_k(theta^k_i), with learned alpha_{k, layer} and norms by step."""
    steps, norms = int(config.inner_steps), model.network.norms

    def of_step(parameters: Parameters, step: Tensor) -> Parameters:
        """The network's parameters at an inner step: those norms out of all steps'."""
        own = {name: parameters[name].index_select(0, step.reshape(1))[0] for name in norms}
        return {**parameters, **own}

    def loss(parameters: Parameters, data: Numbered) -> Tensor:
        return model.loss(of_step(parameters, data.step), data.examples)

    def rule(first_order: bool) -> InnerRule[Numbered]:
        return learned_layer_sizes(
            loss,
            config.step_size,
            steps,
            first_order=lambda k: first_order,
            recompute=config.recompute,
        )

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        weights = multi_step_weights(steps, updates, int(config.multi_step_updates))

        def gain(path: Path, support: Sequence[Numbered], query: Numbered) -> Tensor:
            def after(parameters: Parameters, seen: Numbered) -> Tensor:
                return -model.loss_beside(of_step(parameters, seen.step), seen.examples, query.examples)

            return weighted_sum(after, weights, path, support)

        numbers = torch.arange(steps, device=episodes.query.x.device).expand(episodes.tasks, -1).unbind(1)
        support = tuple(Numbered(episodes.support, number) for number in numbers)
        tasks = NumberedTasks(support, Numbered(episodes.query, numbers[-1]))
        found = rule(updates < config.first_order_updates).gradient(theta, tasks, gain, task_map)
        return found._replace(metrics={**found.metrics, "final_step_weight": weights[-1]})

    def initial_parameters(generator: torch.Generator) -> Parameters:
        own = model.network.initial_parameters(generator)
        return {
            name: value.expand(steps, -1).clone() if name in norms else value for name, value in own.items()
        }

    def predict(parameters: Parameters, support: Examples, x: Tensor, number: int) -> Tensor:
        last = [torch.tensor(min(k, steps - 1), device=x.device) for k in range(number)]
        path = inner_path(rule(True).step, parameters, [Numbered(support, k) for k in last])
        # What follows a step is judged with its norms, as in training.
        judged = zip(path, [torch.tensor(0, device=x.device), *last], strict=True)
        return torch.stack([model.network.apply_beside(of_step(at, k), support.x, x) for at, k in judged])

    rate = float(config.step_size_learning_rate)
    entries = rule(False).entries
    return compose(initial_parameters, direction, config.adam, predict, entries=entries, entries_rate=rate)
