"""The figures of an evaluation, by their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from metarl_envs.family import Family
from torch import Tensor

from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
from metarl.adaptation.figures.beliefs import believed, map_figure, rewards_figure, spread_figure
from metarl.adaptation.figures.by_task import gains_figure, returns_by_parameter
from metarl.adaptation.figures.curves import adaptation_figure
from metarl.adaptation.figures.motion import motion_of, speeds_figure, ways_figure
from metarl.adaptation.figures.step_sizes import step_sizes_figure
from metarl.policies.policy import AnyPolicy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def evaluation_figures(
    evaluation: Evaluation,
    policy: AnyPolicy,
    parameters: Mapping[str, Tensor],
    family: Family | None,
    where: str,
    tasks: str,
) -> dict[str, Figure]:
    """All figures that fit the tasks, the family, the policy and the learner.

    Args:
        policy: what acted.
        parameters: the meta-parameters that were evaluated.
        family: of the environment; None of one of which no motion is known.
        where: ends the titles: "after 20 iterations".
        tasks: the name of their list, e.g. "held-out".
    """
    curve = evaluation.curve
    by_step = adaptation_figure({tasks: curve}, f"Return by {curve.points.axis}, {where}")
    return {
        "adaptation_curve": by_step,
        **task_figures(curve, where, tasks),
        **episode_figures(evaluation, policy, parameters, family, where),
    }


def task_figures(curve: AdaptationCurve, where: str, tasks: str) -> dict[str, Figure]:
    """What adaptation did to every task: gains, and returns against what it asks for.

    Args:
        where, tasks: as of `evaluation_figures`.
    """
    found = {
        "gains": gains_figure(curve, f"What adaptation gains, by task, {where}", tasks),
        "return_by_task": returns_by_parameter(curve, f"Return by task, {where}"),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def episode_figures(
    evaluation: Evaluation,
    policy: AnyPolicy,
    parameters: Mapping[str, Tensor],
    family: Family | None,
    where: str,
) -> dict[str, Figure]:
    """What episodes show: ways, speeds and beliefs; and the learned step sizes.

    Args:
        policy, parameters, family, where: as of `evaluation_figures`.
    """
    curve, rollouts = evaluation.curve, evaluation.rollouts
    caption = f"after {curve.points.last_text}"
    found: dict[str, Figure | None] = {
        "learned_step_sizes": step_sizes_figure(parameters, f"Learned step sizes, {where}"),
    }
    if family is not None and rollouts:
        before, after = (motion_of(rollout, family.observed) for rollout in (rollouts[0], rollouts[-1]))
        ways = f"Ways to the goals (stars), {where}"
        found["trajectories"] = ways_figure(before, after, curve.tasks, caption, ways)
        speeds = f"Asked for and done, {where}"
        found["speed"] = speeds_figure(before, after, curve.tasks, family.dt, caption, speeds)
    beliefs = believed(policy, parameters, evaluation)
    if beliefs is not None:
        found["belief_spread"] = spread_figure(beliefs, f"How sure beliefs are, {where}")
        found["belief_map"] = map_figure(beliefs, curve.tasks, f"Beliefs by task, {where}")
        if beliefs.rewards is not None:
            found["decoded_rewards"] = rewards_figure(
                beliefs.rewards, f"Rewards as beliefs decode them, {where}"
            )
    return {name: figure for name, figure in found.items() if figure is not None}
