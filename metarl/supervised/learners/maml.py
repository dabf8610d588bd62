"""MAML on labelled examples (Finn et al. 2017, algorithm 2); FOMAML with `first_order` (section 5.2).

theta'_i = theta - alpha grad L(theta; support_i), K times on the same support   (eq. 1)
theta   <- Adam along grad_theta mean_i L(theta'_i; query_i)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_rules import gradient_rule
from metarl.meta_learners.inner.meta_gradient import MetaGradient
from metarl.meta_learners.inner.rule import InnerRule
from metarl.supervised.examples import Episodes, Examples, repeated
from metarl.supervised.learners.learner import Learner, by_steps, compose
from metarl.supervised.learners.settings import InnerStepsConfig
from metarl.supervised.model import Model


@dataclass(frozen=True)
class MamlConfig(InnerStepsConfig):
    """MAML.

    Args:
        first_order: treat every inner gradient as a constant (FOMAML).
        recompute: keep one inner step's graph at a time: memory that does not grow with inner_steps.
    """

    first_order: bool = False
    recompute: bool = False


def maml(model: Model, config: MamlConfig, task_map: TaskMap) -> Learner:
    """The learner theta <- theta - Adam of grad mean_i L(theta - alpha grad L_i; query_i)."""
    return through_steps(model, config, descent(model, config), task_map)


def descent(model: Model, config: MamlConfig, names: Collection[str] | None = None) -> InnerRule[Examples]:
    """theta' = theta - alpha grad L(theta; support).

    Args:
        names: the parameters that move; None for all.
    """
    return gradient_rule(
        model.loss,
        config.step_size,
        names=names,
        first_order=lambda k: config.first_order,
        recompute=config.recompute,
    )


def through_steps(
    model: Model, config: InnerStepsConfig, rule: InnerRule[Examples], task_map: TaskMap, rate: float = 0.0
) -> Learner:
    """The learner of a rule that is differentiated, judged after its last step.

    Args:
        rate: the learning rate of what the rule learns beside the network.
    """

    def direction(theta: Parameters, episodes: Episodes, updates: int) -> MetaGradient:
        tasks = repeated(episodes, config.steps_of(updates))
        return rule.gradient(theta, tasks, model.gain, task_map)

    start, predict = model.network.initial_parameters, by_steps(model, rule.step)
    return compose(start, direction, config.adam, predict, entries=rule.entries, entries_rate=rate)
