"""Where a learner's inner step size is found before training: on the tasks of the first iteration."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace

from metarl.adaptation.first_step import find_first_step
from metarl.experiment.build import Experiment
from metarl.experiment.training_tasks import draw_training_tasks
from metarl.meta_learners.inner.gradient_rules import LOG_STEP_SIZE
from metarl.meta_learners.settings import LearnableStep
from metarl.rollouts.random_keys import FIRST_STEP
from metarl.runs.checkpoint import Checkpoint


def with_first_step(experiment: Experiment, start: Checkpoint) -> Checkpoint:
    """The start of training with the step size whose first step has `first_step_kl`; as it is elsewhere.

    The episodes that it takes are counted.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    config, settings = experiment.config, experiment.config.meta_learner
    if start.iteration or not (isinstance(settings, LearnableStep) and settings.first_step_kl):
        return start
    sampling, reduction = config.sampling, experiment.task_map.reduction
    drawn = draw_training_tasks(
        experiment.task_distribution, sampling.tasks, config.seed, 0, int(sampling.training_tasks)
    )
    share = reduction.share(sampling.tasks)
    own = {name: values[share] for name, values in drawn.tasks.items()}
    sampler = experiment.sampler(share.stop - share.start, sampling.episodes, first_task=share.start)
    with closing(sampler):
        key = (config.seed, 0, FIRST_STEP)
        parameters, kl = start.state.parameters, float(settings.first_step_kl)
        found = find_first_step(experiment.walk(sampler), parameters, own, key, kl)
    longer = {**parameters, LOG_STEP_SIZE: parameters[LOG_STEP_SIZE] + math.log(found.factor)}
    state = replace(start.state, parameters=longer)
    return replace(start, state=state, environment_steps=start.environment_steps + found.environment_steps)
