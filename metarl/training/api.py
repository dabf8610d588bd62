"""Training and evaluation from Python: `metarl.train` and `metarl.evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from metarl_envs.arguments import as_array, check_at_least, check_seed
from metarl_envs.tasks import Tasks, stack_tasks, unstack_tasks

from metarl.adaptation.evaluation import Evaluation
from metarl.compute.ranks import joined_ranks
from metarl.errors import check_kinds
from metarl.experiment.build import Experiment, build_experiment
from metarl.experiment.config import read_config, with_overrides
from metarl.experiment.experiments import ExperimentConfig, meta_learned
from metarl.experiment.reading import Overrides, Source
from metarl.policies.policy import episodes_a_point
from metarl.runs.description import describe
from metarl.runs.files import POLICY
from metarl.runs.folder import hold_run_folder
from metarl.runs.load import load_meta_policy
from metarl.runs.meta_policy import MetaPolicy
from metarl.training.console import console_observers
from metarl.training.memory_needed import check_memory
from metarl.training.observers import Iteration, Observer, as_observer
from metarl.training.run_start import prepare_run
from metarl.training.run_training import run_training

_OF_TRAINING = {
    "overrides": (Mapping, Sequence, NoneType),
    "observers": (Sequence,),
    "resume": (bool,),
    "quiet": (bool,),
}
_OF_EVALUATION = {
    "tasks": (int, np.integer, Mapping, Sequence),
    "episodes": (int, np.integer, NoneType),
    "steps": (int, np.integer),
    "seed": (int, np.integer),
    "deterministic": (bool,),
    "keep_rollouts": (bool,),
}


def train(
    config: Source | ExperimentConfig,
    *,
    overrides: Overrides | None = None,
    observers: Sequence[Observer | Callable[[Iteration], bool | None]] = (),
    resume: bool = False,
    quiet: bool = False,
) -> MetaPolicy:
    """Trains a meta-policy in the config's run folder, and evaluates it.

    Started by torchrun, processes share out the tasks; the first one has the observers, and writes.

    An interrupt, or an observer that fails, keeps every finished iteration: `resume` goes on from there, to
    the same bits as without a stop.

    Args:
        config: a YAML file, the name of a shipped config such as "quickstart", the sections of one as a dict,
            or what `metarl.read_config` returns.
        overrides: values by their key, {"training.iterations": 3}, or words as on the command line.
        observers: called with every iteration and evaluation; one may stop the training. A function is
            called with every iteration.
        resume: go on with the run in the folder, or start it where there is none; with any number of ranks.
        quiet: print errors alone, such as of a film that was not to be had; otherwise also a table of the
            iterations, and a progress bar.

    Returns:
        The meta-policy after the last iteration; `metarl.load` reads it again from the run folder.

    Raises:
        TypeError: an argument of another type.
        ValueError: an observer is neither a `metarl.Observer` nor a function.
        ConfigError: the config is wrong, cannot be built, needs more memory than there is, or has no
            meta-learner.
        RunError: the folder holds another run, or one that is not to be resumed, another process trains in
            it, or it cannot be written.
        TrainingError: something was not finite, or an environment failed.
        RanksError: another process is gone.

    Examples:
        >>> import metarl
        >>> policy = metarl.train("quickstart", overrides={"training.iterations": 2}, quiet=True)
        >>> action, _ = policy.predict([0.0, 0.0])
        >>> action.shape
        (2,)
    """
    check_kinds(_OF_TRAINING, locals())
    given, watching = _meta_learned(config, overrides or ()), [as_observer(one) for one in observers]
    run_dir, device = Path(given.run_dir), given.training.device
    with _threads_restored(), joined_ranks() as ranks:
        ranks.together(lambda: check_memory(given, ranks.size))
        with hold_run_folder(run_dir) if ranks.first else nullcontext():
            experiment = ranks.together(lambda: build_experiment(given, ranks))
            start = prepare_run(given, resume, experiment)
            shown = [] if quiet else console_observers(given)
            final, _ = run_training(experiment, start, [*shown, *watching])
        if ranks.first or (run_dir / POLICY).is_file():
            return load_meta_policy(run_dir, device, trust=True)  # training imported what it names
        return MetaPolicy(describe(experiment), experiment.policy, final.state.parameters, trust=True)


def evaluate(
    policy: MetaPolicy | str | Path,
    *,
    tasks: int | Sequence[Mapping[str, Any]] | Tasks = 40,
    episodes: int | None = None,
    steps: int = 3,
    seed: int = 0,
    deterministic: bool = False,
    keep_rollouts: bool = False,
) -> Evaluation:
    """Adapts a meta-policy to tasks, and measures the return after every number of inner steps.

    Args:
        policy: of `metarl.train` or `metarl.load`, or the folder of a run.
        tasks: how many evaluation tasks to draw, a list of tasks, [{"goal": [0.1, 0.2]}, ...], or their
            arrays by name, [task, ...].
        episodes: episodes of every task at every step, on which that step adapts; None for 20, of a policy
            with memory for 1.
        steps: inner steps K.
        seed: chooses drawn tasks and the episodes' noise.
        deterministic: measure with mean actions, on episodes of their own.
        keep_rollouts: keep the episodes that were measured.

    Returns:
        A record: its `curve` has the returns of every task after 0, 1, ..., K steps, [step + 1, task], with
        their mean and interval; `adapted` the tasks' states after the last step, tensors [task, ...];
        `rollouts`, if kept, the measured episodes of every number of steps.

    Raises:
        TypeError: an argument of another type.
        ValueError: no task or episode, fewer than 0 steps, a seed below 0, or a task that the environment has
            not.
        ConfigError: the run's environment cannot be had, or the run learned from scratch.
        RunError: no run is in the folder, or one that names a module: load it by `metarl.load` then.
        TrainingError: something was not finite, or an environment failed.

    Examples:
        >>> import metarl
        >>> curve = metarl.evaluate("runs/quickstart", tasks=5, episodes=4, steps=1).curve
        >>> curve.returns.shape
        (2, 5)
        >>> curve.mean.shape
        (2,)
    """
    check_kinds(_OF_EVALUATION, locals())
    check_at_least(1, episodes=1 if episodes is None else episodes)  # and not beyond any machine
    check_at_least(0, steps=steps)
    check_seed(seed)
    if not isinstance(policy, (MetaPolicy, str, Path)):
        kind = type(policy).__name__
        raise ValueError(f"expected a MetaPolicy or the folder of a run, got {kind}, which does not adapt")
    loaded = policy if isinstance(policy, MetaPolicy) else load_meta_policy(policy)
    with _threads_restored():
        torch.set_num_threads(1)  # threads take whole tasks, as in training
        return loaded.experiment.evaluate(
            loaded.parameters,
            _task_arrays(loaded.experiment, tasks, seed),
            episodes=episodes or episodes_a_point(type(loaded.policy)),
            steps=steps,
            seed=seed,
            deterministic=deterministic,
            keep_rollouts=keep_rollouts,
        )


def _meta_learned(config: Source | ExperimentConfig, overrides: Overrides) -> ExperimentConfig:
    if not isinstance(config, ExperimentConfig):
        return meta_learned(read_config(config, overrides))
    return meta_learned(with_overrides(config, overrides)) if overrides else config


def _task_arrays(
    experiment: Experiment, tasks: int | Sequence[Mapping[str, Any]] | Tasks, seed: int
) -> Tasks:
    if isinstance(tasks, (int, np.integer)):
        check_at_least(1, tasks=tasks)
        return experiment.held_out_tasks(int(tasks), seed)
    arrays = {name: as_array(values) for name, values in tasks.items()} if isinstance(tasks, Mapping) else {}
    listed = list(unstack_tasks(arrays) if isinstance(tasks, Mapping) else tasks)
    if not listed:
        raise ValueError("expected at least one task, got none")
    return stack_tasks([experiment.task_distribution.validate(task) for task in listed])


@contextmanager
def _threads_restored() -> Iterator[None]:
    """Leaves torch's threads as it found them."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
