"""What watches training: called with everything that an iteration produced, and with evaluations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

from metarl_envs.arguments import told
from metarl_envs.tasks import Tasks
from torch import Tensor

from metarl.adaptation.evaluation import AdaptationCurve, Evaluation
from metarl.errors import MetaRLError
from metarl.rollouts.rollout import MetaBatch
from metarl.runs.checkpoint import Checkpoint


@dataclass(frozen=True)
class Iteration:
    """Everything that an iteration produced. Keeping it keeps its episodes in memory.

    Args:
        tasks: arrays by name, [task, ...], of all ranks.
        before, after: the learner's state, iterations done and environment steps taken, on both sides of it.
        batch: the episodes of every phase: `batch.support[k]` before inner step k, `batch.query` after the
            last one; [task, episode, time, ...]. Of several ranks, this one's: the first of the tasks.
        returns: mean return of every task's episodes after k inner steps, [phase, task].
        metrics: its row of progress.csv by column: "rollout/return_after", "update/kl", ... and, where an
            evaluation was due, "evaluation/return_after_0_steps", ...
        rejection: why the outer step was rejected; None where it was taken.
    """

    tasks: Tasks
    before: Checkpoint
    after: Checkpoint
    batch: MetaBatch
    returns: Tensor
    metrics: Mapping[str, float]
    rejection: str | None = None

    @property
    def number(self) -> int:
        """From 0."""
        return self.before.iteration

    @property
    def environment_steps(self) -> int:
        """Taken since the start of the run, this iteration's among them."""
        return self.after.environment_steps


@dataclass(frozen=True)
class Evaluated:
    """An evaluation on evaluation tasks. Keeping it keeps its episodes in memory.

    Args:
        checkpoint: of the policy: the learner's state, iterations done and environment steps taken.
        evaluation: its curve, the adapted states, and the episodes of every number of inner steps; without
            episodes where the same policy was evaluated before.
        final: whether training is over.
    """

    checkpoint: Checkpoint
    evaluation: Evaluation
    final: bool = False

    @property
    def curve(self) -> AdaptationCurve:
        """Returns by task and number of inner steps."""
        return self.evaluation.curve


class Observer(Protocol):
    """Watches a training run: subclass it, write `on_iteration`, and any other method that is wanted.

    What an observer raises ends the training as an interrupt does: every finished iteration is kept.

    Examples:
        >>> import metarl
        >>> class StopEarly(metarl.Observer):
        ...     def on_iteration(self, iteration):
        ...         return iteration.metrics["rollout/return_after"] < -5.0
        >>> observers = [StopEarly()]  # for metarl.train("quickstart", observers=observers)
    """

    @abstractmethod
    def on_iteration(self, iteration: Iteration) -> bool | None:
        """After every iteration, whose row is written; False stops the training, and keeps the iteration."""

    def on_evaluation(self, evaluated: Evaluated) -> None:
        """After every evaluation.

        The first comes before any iteration, unless the run is resumed; that of an iteration after its
        `on_iteration`, the one at the end after all.
        """
        return

    def on_fault(self, checkpoint: Checkpoint, error: MetaRLError) -> None:
        """When the policy as it starts could not be evaluated; training goes on."""
        return

    def on_start(self, start: Checkpoint) -> None:
        """Before the first iteration; a resumed run starts at its checkpoint."""
        return

    def on_end(self) -> None:
        """Once, whether training and its last evaluation came to their end or were interrupted."""
        return


class Calling(Observer):
    """A plain function as an observer: called with every iteration, it may return False to stop."""

    def __init__(self, function: Callable[[Iteration], bool | None]) -> None:
        self._function = function

    def on_iteration(self, iteration: Iteration) -> bool | None:
        return self._function(iteration)


def as_observer(given: object) -> Observer:
    """An observer as it is, and a function as one.

    Raises:
        ValueError: neither.
    """
    methods = ("on_start", "on_iteration", "on_evaluation", "on_fault", "on_end")
    if all(callable(getattr(given, name, None)) for name in methods):
        return cast(Observer, given)
    if isinstance(given, type) or not callable(given):
        raise ValueError(
            f"observers: expected a metarl.Observer or a function of an iteration, got {told(given)}"
        )
    return Calling(given)


@contextmanager
def observed(observers: Sequence[Observer], start: Checkpoint) -> Iterator[None]:
    """Tells observers of the start and, whatever happens, those that started of the end."""
    with ExitStack() as ends:
        for observer in observers:
            observer.on_start(start)
            ends.callback(observer.on_end)
        yield


def show_iteration(observers: Sequence[Observer], iteration: Iteration, evaluated: Evaluated | None) -> bool:
    """Shows an iteration to every observer, and its evaluation if it has one; whether to go on."""
    answers = [observer.on_iteration(iteration) for observer in observers]
    if evaluated is not None:
        show_evaluation(observers, evaluated)
    return all(answer is None or bool(answer) for answer in answers)


def show_evaluation(observers: Sequence[Observer], evaluated: Evaluated) -> None:
    """Shows every observer an evaluation."""
    for observer in observers:
        observer.on_evaluation(evaluated)
