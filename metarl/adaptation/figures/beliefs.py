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
from metarl.math.parameters import Parameters
from metarl.meta_learners.pearl import posteriors_of
from metarl.meta_learners.varibad import beliefs_of
from metarl.objectives.beliefs import final_beliefs
from metarl.objectives.decoders import decoded, rewards_asked
from metarl.policies.belief import BeliefPolicy
from metarl.policies.policy import AnyPolicy
from metarl.policies.posterior import PosteriorPolicy
from metarl.rollouts.recording import join_episodes
from metarl.rollouts.rollout import Rollout
from metarl.rollouts.trials import Trials, join_trials

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_NO_EPISODE = ("diverged_episodes", "carry", "success", "seeds")
_DOTS = 2000
"""Steps whose rewards are drawn, at most."""


@dataclass(frozen=True)
class DecodedRewards:
    """Rewards, and what beliefs decode of them.

    Args:
        paid: as they were, [step], of all trials.
        by_prior, by_end: as decoded from the belief before a trial, and at its end; [step].
    """

    paid: Array
    by_prior: Array
    by_end: Array


@dataclass(frozen=True)
class Believed:
    """Beliefs in the course of the trials of an evaluation.

    Args:
        std: mean over the belief's numbers, [trial, longest + 1]; NaN after a trial's end.
        means: at the trials' ends, mean over a task's trials, [task, z].
        rewards: None of a posterior, which decodes none.
    """

    std: Array
    means: Array
    rewards: DecodedRewards | None


def believed(policy: AnyPolicy, parameters: Mapping[str, Tensor], evaluation: Evaluation) -> Believed | None:
    """What was believed in an evaluation's trials; None of a policy without a belief, or without episodes.

    Where episodes lie between those that were measured, which are not kept, trials are their first episodes.

    Args:
        parameters: the meta-parameters, without a task axis.
    """
    if not (isinstance(policy, BeliefPolicy | PosteriorPolicy) and evaluation.rollouts):
        return None
    whole = evaluation.curve.trial_episodes == 1
    trials = trials_of(evaluation.rollouts if whole else evaluation.rollouts[:1])
    theta, lengths = dict(parameters), trials.valid.sum(1)
    with torch.no_grad():
        beliefs = (
            beliefs_of(policy, theta, trials)
            if isinstance(policy, BeliefPolicy)
            else posteriors_of(policy, theta, trials)
        )
        ends = final_beliefs(beliefs, lengths)
        rewards = (
            _decoded_rewards(theta, trials, beliefs.mean[:, 0], ends.mean)
            if isinstance(policy, BeliefPolicy)
            else None
        )
    there = torch.arange(int(lengths.max()) + 1, device=lengths.device) <= lengths.unsqueeze(1)
    tasks = len(evaluation.rollouts[0].valid)
    return Believed(
        _numbers(torch.where(there, beliefs.std[:, : there.shape[1]].mean(-1), torch.nan)),
        _numbers(ends.mean.view(tasks, -1, ends.mean.shape[-1]).mean(1)),
        rewards,
    )


def _decoded_rewards(theta: Parameters, trials: Trials, prior: Tensor, end: Tensor) -> DecodedRewards:
    """Of latents before a trial and at its end, [trial, z] each."""
    asked = rewards_asked(trials)
    of_steps = (asked.targets, *(decoded(theta, "rewards", z, asked) for z in (prior, end)))
    return DecodedRewards(*(_numbers(values[trials.valid].squeeze(-1)) for values in of_steps))


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


def rewards_figure(found: DecodedRewards, title: str) -> Figure:
    """Rewards as beliefs decode them, before a trial and at its end, against those that were paid.

    Where a decoder is calibrated, the means by tenths of what it says lie on the diagonal.
    """
    figure, axes = panels(title, 2, width=5.8, height=3.0)
    every = max(1, len(found.paid) // _DOTS)
    ends = [found.paid.min(), found.paid.max()]
    captions = ("by the prior", "by the belief at the end")
    for one, told, colour, caption in zip(
        axes, (found.by_prior, found.by_end), (BEFORE, AFTER), captions, strict=True
    ):
        one.plot(found.paid[::every], told[::every], ".", color=colour, alpha=0.3, markersize=3)
        one.plot(ends, ends, color="black", linewidth=1)
        one.plot(*calibration(found.paid, told), "o-", color="black", markersize=4, label="means by tenths")
        one.set_title(caption, fontsize=10)
        one.set_xlabel("reward")
    axes[0].set_ylabel("decoded reward")
    axes[0].legend(frameon=False, loc="upper left")
    return figure


def calibration(paid: Array, told: Array) -> tuple[Array, Array]:
    """Means of what was paid, and of what was told, over tenths of the steps [step] by what was told."""
    tenths = [part for part in np.array_split(np.argsort(told, kind="stable"), 10) if len(part)]
    return np.array([paid[part].mean() for part in tenths]), np.array([told[part].mean() for part in tenths])


def _numbers(values: Tensor) -> Array:
    return np.asarray(values.double().cpu().numpy())
