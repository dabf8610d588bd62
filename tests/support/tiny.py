"""A tiny float64 problem for proofs: a policy, its parameters, and a meta-batch with ragged episodes."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from metarl.compute.task_map import TaskMap, select_task
from metarl.math.gaussian import DiagonalGaussian
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.gradient_rules import STEP_SIZE
from metarl.meta_learners.learner import LearnerState, Update, named_tensors, with_tensors
from metarl.meta_learners.maml import MamlConfig
from metarl.meta_learners.outer.clipped import ClippedConfig
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import TaskState
from metarl.rollouts.rollout import Batch, MetaBatch
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.runs.files import CONFIG
from metarl.runs.run_config import config_digest
from tests.support.references import log_density, path
from tests.support.replayed import restored

TASKS, EPISODES, HORIZON = 3, 4, 6
Objective = Literal["vpg", "lvc"]
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}
BY_GRADIENT = sorted(set(META_LEARNERS) - {"rl2", "varibad", "pearl", "recurrent_sac"})
"""Learners whose adaptation is inner steps; any policy without memory is theirs."""


def inner_steps(name: str, steps: int) -> tuple[str, ...]:
    """The override of a learner's inner steps; none of one whose training takes none."""
    return () if name == "multi_task" else ("--meta_learner.inner_steps", str(steps))


def tiny_policy(activation: Literal["tanh", "relu"] = "tanh") -> GaussianMLP:
    return GaussianMLP(observation_size=3, action_size=2, hidden_sizes=(5, 4), activation=activation)


def tiny_parameters(policy: GaussianMLP, seed: int = 0) -> Parameters:
    generator = torch.Generator().manual_seed(seed)
    initial = policy.initial_parameters(generator)
    return {
        name: value.double() + 0.2 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in initial.items()
    }


def tiny_config(step_sizes: list[float], objective: Objective, **settings: Any) -> MamlConfig:
    """K inner steps, the later ones of one size."""
    return MamlConfig(
        inner_step_size=step_sizes[0],
        later_step_scale=step_sizes[-1] / step_sizes[0],
        inner_steps=len(step_sizes),
        inner_objective=objective,
        **settings,
    )


def tiny_batch(policy: GaussianMLP, per_task: list[Parameters], generator: torch.Generator) -> Batch:
    """Episodes of the given policies, one a task; a third of them end early, and padding is garbage."""
    shape = (len(per_task), EPISODES, HORIZON)
    observations = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        parts = [policy(theta, observations[i]) for i, theta in enumerate(per_task)]
    mean, log_std = (torch.stack([part[j] for part in parts]) for j in (0, 1))
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    actions = mean + log_std.exp() * noise
    valid = torch.ones(shape, dtype=torch.bool)
    valid[:, ::3, HORIZON // 2 :] = False
    advantages, rewards = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return Batch(
        observations,
        actions,
        rewards,
        advantages,
        valid,
        torch.zeros(shape[:2], dtype=torch.bool),
        observations[:, :, -1],
        DiagonalGaussian(mean, log_std),
        log_density(mean, log_std, actions),
    )


def adapted_by(learner: Any, parameters: Parameters, batch: Batch, step: int) -> Parameters:
    """One task's parameters after a learner's inner step of that number."""
    after: Parameters = learner.adapt(TaskState(parameters, {}, step), batch).parameters
    return after


def tiny_meta_batch(
    policy: GaussianMLP, theta: Parameters, objective: Objective, step_sizes: list[float], seed: int = 0
) -> MetaBatch:
    """Support batches sampled by theta^k and a query batch by theta^K, so that ratios are 1 at theta."""
    generator = torch.Generator().manual_seed(seed)
    current = [{name: value.detach().clone() for name, value in theta.items()} for _ in range(TASKS)]
    support: list[Batch] = []
    for step_size in step_sizes:
        support.append(tiny_batch(policy, current, generator))
        config, activation = tiny_config([step_size], objective), ACTIVATIONS[policy.activation]
        current = [
            path("maml", p, [select_task(support[-1], i)], config, activation=activation)[-1]
            for i, p in enumerate(current)
        ]
        current = [{name: value.detach() for name, value in p.items()} for p in current]
    return MetaBatch(tuple(support), tiny_batch(policy, current, generator))


def tiny_learner(
    name: str, inner_steps: int = 1, *, task_map: TaskMap | None = None, **settings: Any
) -> tuple[Any, Any]:
    """A registered learner on the tiny policy, and its config; the later inner steps are of half the size."""
    registered = META_LEARNERS[name]
    shared: dict[str, Any] = {"inner_step_size": 0.3, "later_step_scale": 0.5}
    if name != "multi_task":  # its training takes none
        shared["inner_steps"] = inner_steps
    config = registered.config(**{**shared, **settings})
    return registered.build(tiny_policy(), config, task_map or TaskMap(2, 2)), config


def by_adam(name: str, learning_rate: float = 1e-3, epochs: int = 1) -> dict[str, Any]:
    """A registered learner's settings for an outer step that Adam takes."""
    if "clipped" in {field.name for field in fields(META_LEARNERS[name].config)}:
        return {"outer": "ppo", "clipped": ClippedConfig(learning_rate=learning_rate, epochs=epochs)}
    return {"outer": "adam", "outer_step_size": learning_rate}


def tiny_state(learner: Any, seed: int = 0) -> Parameters:
    """The learner's initial parameters in float64, away from where they start (step sizes by a factor)."""
    generator = torch.Generator().manual_seed(seed)
    moved = {}
    for name, value in learner.initial_state(generator).parameters.items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        sizes = name.startswith(STEP_SIZE)
        moved[name] = value.double() * (0.3 * noise).exp() if sizes else value.double() + 0.2 * noise
    return moved


def sampled_meta_batch(learner: Any, theta: Parameters, seed: int = 0) -> MetaBatch:
    """Every batch sampled by the policies that the learner's own inner steps made."""
    generator = torch.Generator().manual_seed(seed)
    current, batches = [theta] * TASKS, []
    for k in range(learner.inner_steps):
        batches.append(tiny_batch(learner.policy, current, generator))
        current = [adapted_by(learner, p, select_task(batches[-1], i), k) for i, p in enumerate(current)]
        current = [{name: value.detach() for name, value in p.items()} for p in current]
    return MetaBatch(tuple(batches), tiny_batch(learner.policy, current, generator))


def state_of(learner: Any, parameters: Parameters, **held: Tensor) -> LearnerState:
    """The learner's state at given parameters, some of its optimiser's tensors given by name."""
    state = learner.start(parameters)
    named = {**named_tensors(state.optimiser), **held}
    return LearnerState(parameters, with_tensors(state.optimiser, named))


def adam_gradient(update: Update, like: Parameters) -> Parameters:
    """The ascent gradient of an update's only Adam step: the first moment is a tenth of the descent one."""
    return {name: -10 * named_tensors(update.state.optimiser)[f"exp_avg.{name}"] for name in like}


def through_a_checkpoint(state: LearnerState, folder: Path) -> LearnerState:
    """The state, written to a run folder and read again."""
    (folder / CONFIG).write_text("seed: 3\n")
    save_checkpoint(folder, Checkpoint(state, 1, 0, config_digest(folder)))
    found = load_checkpoint(folder).state
    replay = state.replay and restored(state.replay, folder)
    forgotten = tree_map(torch.zeros_like, state.optimiser)
    optimiser = with_tensors(forgotten, named_tensors(found.optimiser))
    return replace(found, optimiser=optimiser, replay=replay)
