"""What a policy with a belief came to believe of tasks: how sure it was, and what it decodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.adaptation.evaluation import Evaluation
from metarl.adaptation.figures.by_task import parameter_of
from metarl.adaptation.figures.style import AFTER, BEFORE, panels
from metarl.meta_learners.varibad import beliefs_of
from metarl.objectives.beliefs import final_beliefs
from metarl.objectives.decoders import decoded, rewards_asked
from metarl.policies.belief import BeliefPolicy
from metarl.policies.policy import AnyPolicy
from metarl.rollouts.recording import join_episodes
from metarl.rollouts.rollout import Rollout
from metarl.rollouts.trials import Trials, join_trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_NO_EPISODE = ("diverged_episodes", "carry", "success", "seeds")
_DOTS = 2000
"""Steps whose rewards are drawn, at most."""


@dataclass(frozen=True)
class Believed:
    """Beliefs in the course of the trials of an evaluation, and rewards that they decode.

    Args:
        std: mean over the belief's numbers, [trial, longest + 1]; NaN after a trial's end.
        means: at the trials' ends, mean over a task's trials, [task, z].
        rewards: as they were, [step], of all trials.
        by_prior, by_end: the same as decoded from the belief before a trial, and at its end; [step].
    """

    std: Array
    means: Array
    rewards: Array
    by_prior: Array
    by_end: Array


def believed(policy: AnyPolicy, parameters: Mapping[str, Tensor], evaluation: Evaluation) -> Believed | None:
    """What was believed in an evaluation's trials; None of a policy without a belief, or without episodes.

    Where episodes lie between those that were measured, which are not kept, trials are their first episodes.

    Args:
        parameters: the meta-parameters, without a task axis.
    """
    if not (isinstance(policy, BeliefPolicy) and evaluation.rollouts):
        return None
    whole = evaluation.curve.trial_episodes == 1
    trials = trials_of(evaluation.rollouts if whole else evaluation.rollouts[:1])
    theta, lengths = dict(parameters), trials.valid.sum(1)
    asked = rewards_asked(trials)
    with torch.no_grad():
        beliefs = beliefs_of(policy, theta, trials)
        ends = final_beliefs(beliefs, lengths)
        told = [decoded(theta, "rewards", z, asked)[trials.valid] for z in (beliefs.mean[:, 0], ends.mean)]
    there = torch.arange(int(lengths.max()) + 1, device=lengths.device) <= lengths.unsqueeze(1)
    tasks = len(evaluation.rollouts[0].valid)
    return Believed(
        _numbers(torch.where(there, beliefs.std[:, : there.shape[1]].mean(-1), torch.nan)),
        _numbers(ends.mean.view(tasks, -1, ends.mean.shape[-1]).mean(1)),
        *(_numbers(one.squeeze(-1)) for one in (asked.targets[trials.valid], *told)),
    )


def trials_of(rollouts: Sequence[Rollout]) -> Trials:
    """The episodes [task, lane] of several rollouts in turn, as trials [task x lane]."""

    def by_lane(rollout: Rollout) -> Rollout:
        parts = {each.name: getattr(rollout, each.name) for each in fields(rollout)}
        parts = {name: part for name, part in parts.items() if name not in _OF_NO_EPISODE}
        lanes = tree_map(lambda part: part.flatten(0, 1).unsqueeze(1), parts)
        return replace(rollout, **lanes, success=None)

    return join_trials(join_episodes([by_lane(rollout) for rollout in rollouts]))


def spread_figure(found: Believed, title: str) -> Figure:
    """How sure beliefs are after every step of a trial: the median trial, and the middle 80 %."""
    figure, (axes,) = panels(title)
    low, middle, high = np.nanquantile(found.std, [0.1, 0.5, 0.9], axis=0)
    steps = np.arange(len(middle))
    axes.plot(steps, middle, color=AFTER, label=f"median of {len(found.std)} trials")
    axes.fill_between(steps, low, high, color=AFTER, alpha=0.2, linewidth=0, label="10 % to 90 %")
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("steps of the trial")
    axes.set_ylabel("standard deviation of the belief")
    axes.legend(frameon=False)
    return figure


def map_figure(found: Believed, tasks: Tasks, title: str) -> Figure | None:
    """Mean beliefs at trials' ends on their first two principal components, coloured by the task's numbers.

    None where tasks have no one or two numbers to colour by, or there are fewer than two.
    """
    name = parameter_of(tasks)
    if name is None or len(found.means) < 2:
        return None
    values = tasks[name].reshape(len(found.means), -1)
    places, shares = principal_components(found.means)
    figure, axes = panels(title, values.shape[1], width=5.0 if values.shape[1] == 1 else 6.6, height=3.4)
    ordinals = ("",) if values.shape[1] == 1 else (", first number", ", second number")
    for one, colour, ordinal in zip(axes, values.T, ordinals, strict=True):
        drawn = one.scatter(places[:, 0], places[:, 1], c=colour, cmap="viridis", s=40, edgecolors="gray")
        one.set_xlabel(f"first component, {shares[0]:.0%} of the variance")
        figure.colorbar(drawn, ax=one, label=f"{name}{ordinal}")
    axes[0].set_ylabel(f"second component, {shares[1]:.0%}")
    return figure


def principal_components(points: Array) -> tuple[Array, Array]:
    """Places [point, 2] of points [point, x] on their first two principal components, and shares of variance.

    A component that does not exist is 0.
    """
    centred = points - points.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    places, two = np.zeros((len(points), 2)), min(2, len(sizes))
    places[:, :two] = (left * sizes)[:, :two]
    return places, np.pad(shares[:2], (0, 2 - two))


def rewards_figure(found: Believed, title: str) -> Figure:
    """Rewards as beliefs decode them, before a trial and at its end, against those that were paid."""
    figure, axes = panels(title, 2, width=5.8, height=3.0)
    every = max(1, len(found.rewards) // _DOTS)
    ends = [found.rewards.min(), found.rewards.max()]
    captions = ("by the prior", "by the belief at the end")
    for one, told, colour, caption in zip(
        axes, (found.by_prior, found.by_end), (BEFORE, AFTER), captions, strict=True
    ):
        one.plot(found.rewards[::every], told[::every], ".", color=colour, alpha=0.3, markersize=3)
        one.plot(ends, ends, color="black", linewidth=1)
        one.set_title(caption, fontsize=10)
        one.set_xlabel("reward")
    axes[0].set_ylabel("decoded reward")
    return figure


def _numbers(values: Tensor) -> Array:
    return np.asarray(values.double().cpu().numpy())
