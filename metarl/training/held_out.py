"""Evaluations in the course of training."""

from __future__ import annotations

from dataclasses import replace

from metarl_envs.tasks import Tasks

from metarl.adaptation.evaluation import Evaluation
from metarl.adaptation.of_all_ranks import evaluate_shares
from metarl.experiment.build import Experiment
from metarl.experiment.environments import strata_of
from metarl.runs.checkpoint import Checkpoint
from metarl.training.observers import Evaluated


class HeldOut:
    """Evaluates checkpoints on evaluation tasks, each once."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._last: tuple[int, Evaluation] | None = None

    def __call__(self, checkpoint: Checkpoint, *, final: bool = False) -> Evaluated:
        """What a checkpoint does, with its episodes where it was not evaluated before; as `evaluate_run`.

        Args:
            final: whether training is over.
        """
        if self._last is None or self._last[0] != checkpoint.iteration:
            self._last = checkpoint.iteration, evaluate_run(self._experiment, checkpoint)
        found = self._last[1]
        self._last = checkpoint.iteration, replace(found, rollouts=())
        return Evaluated(checkpoint, found, final)


def evaluate_run(experiment: Experiment, checkpoint: Checkpoint) -> Evaluation:
    """What a checkpoint does on the config's evaluation tasks, with its episodes.

    Raises:
        TrainingError: something was not finite, or an environment failed.
    """
    config, settings = experiment.config, experiment.config.training

    def evaluate(tasks: Tasks, first_task: int) -> Evaluation:
        return experiment.evaluate(
            checkpoint.state.parameters,
            tasks,
            episodes=settings.evaluation_episodes,
            steps=settings.evaluation_steps,
            seed=config.seed,
            keep_rollouts=True,
            first_task=first_task,
            where=f"evaluation after {checkpoint.iteration} iterations",
        )

    tasks = experiment.held_out_tasks(settings.evaluation_tasks, config.seed)
    found = evaluate_shares(evaluate, tasks, experiment.task_map.reduction)
    return replace(found, curve=replace(found.curve, strata=strata_of(experiment.task_distribution, tasks)))
