"""Time of one update of MAML on labelled examples: tasks in one batched graph, against loops over tasks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from metarl.benchmarks.measures import TORCH_THREADS, Row, alternate, seconds
from metarl.compute.task_map import select_task
from metarl.errors import ConfigError
from metarl.experiment.experiments import SupervisedExperiment
from metarl.math.parameters import Parameters
from metarl.supervised.examples import Episodes, keyed_generator
from metarl.supervised.learners.maml import MamlConfig
from metarl.training.examples.build import Supervised, build_supervised


def examples(config: SupervisedExperiment, repeats: int) -> list[Row]:
    """Seconds of an update of the config's size.

    The last row is how learn2learn and higher differentiate: `torch.autograd` with `create_graph`, task by
    task.

    Raises:
        ConfigError: another learner than MAML, or data that cannot be had.
    """
    if not isinstance(config.learner, MamlConfig) or config.names["learner"] != "maml":
        raise ConfigError(f"learner.name: expected maml to measure, got {config.names['learner']}")
    ours = build_supervised(config)
    alone = build_supervised(replace(config, training=replace(config.training, tasks_at_once=1)))
    episodes = ours.source.draw("train", int(config.training.tasks), keyed_generator(config.seed))
    state = ours.learner.initial_parameters(torch.Generator().manual_seed(config.seed))
    return alternate(
        {
            "update": partial(seconds, partial(_update, ours, state, episodes)),
            "loop over tasks by torch.func": partial(seconds, partial(_update, alone, state, episodes)),
            "loop over tasks by create_graph": partial(
                seconds, partial(loop, ours, state, episodes), TORCH_THREADS
            ),
        },
        "s",
        repeats,
    )


def loop(built: Supervised, theta: Parameters, episodes: Episodes) -> Parameters:
    """MAML's gradient of the mean query loss, task by task."""
    model, config = built.model, built.config.learner
    leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
    total = torch.zeros(())
    for task in range(episodes.tasks):
        support, query = (select_task(part, task) for part in episodes[:2])
        adapted = leaves
        for _ in range(config.steps_of(0)):
            inner = torch.autograd.grad(
                model.loss(adapted, support), list(adapted.values()), create_graph=not config.first_order
            )
            moved = zip(adapted.items(), inner, strict=True)
            adapted = {name: value - config.step_size(0) * slope for (name, value), slope in moved}
        total = total + model.loss_beside(adapted, support, query) / episodes.tasks
    found = torch.autograd.grad(total, list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def _update(built: Supervised, theta: Parameters, episodes: Episodes) -> None:
    built.learner.update(built.learner.start(theta), episodes)
