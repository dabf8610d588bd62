"""How every policy of a comparison is judged, once per policy and protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks

from metarl.experiment.environments import BEYOND, HELD_OUT
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, load_snapshots
from metarl.runs.files import VERSION, judged_file, write_atomically
from metarl.runs.load import load_meta_policy
from metarl.runs.tensor_files import digest

_OF_TASKS = ("on", "scale")  # of a protocol: the list of tasks says them


@dataclass(frozen=True)
class Protocol:
    """How every policy is judged: on the same tasks, on episodes that adaptation did not use.

    Args:
        tasks: how many.
        episodes: episodes per task and inner step.
        steps: inner steps K.
        seed: chooses the tasks and the evaluation's noise, for all runs alike.
        deterministic: measure returns with mean actions.
        later_step_scale: of inner steps after the first; null for each algorithm's own.
        on: `HELD_OUT` tasks, or `BEYOND` the range of training.
        scale: these lie beyond it, up to so many times as wide.
    """

    tasks: PositiveInt = 40
    episodes: PositiveInt = 20
    steps: PositiveInt = 3
    seed: NonNegativeInt = 0
    deterministic: bool = False
    later_step_scale: float | None = None
    on: str = HELD_OUT
    scale: PositiveFloat = 1.5

    @property
    def environment_options(self) -> dict[str, float]:
        """Of the environment to judge in, beside its own."""
        return {"out_of_distribution": float(self.scale)} if self.on == BEYOND else {}


@dataclass(frozen=True)
class Judged:
    """A policy's returns under a protocol.

    Args:
        iteration, environment_steps: of training before it.
        returns: by inner step and task, [step + 1, task].
    """

    iteration: int
    environment_steps: int
    returns: Array


def judge(
    run_dir: Path,
    protocol: Protocol,
    iterations: Collection[int] = (),
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> list[Judged]:
    """Policies that a run kept, the last one at the end, each measured once per protocol.

    Args:
        run_dir: the run of a config of the user's own: a module that its environment names is imported.
        iterations: of the policies to judge before the last one, as far as they were kept.
        progress: called with the number of policies measured so far, and of all.

    Raises:
        MetaRLError: the run cannot be read, or something was not finite.
    """
    policy = load_meta_policy(
        run_dir,
        "auto",
        later_step_scale=protocol.later_step_scale,
        environment_options=protocol.environment_options,
        trust=True,
    )
    experiment = policy.experiment
    tasks = experiment.held_out_tasks(protocol.tasks, protocol.seed)
    last = load_checkpoint(run_dir)
    before = [one for one in load_snapshots(run_dir) if one.iteration in iterations]
    kept = [one for one in before if one.iteration < last.iteration]
    known = _Known(run_dir, protocol, tasks)

    def measure(checkpoint: Checkpoint) -> Array:
        on_device = {name: v.to(experiment.device) for name, v in checkpoint.state.parameters.items()}
        evaluation = experiment.evaluate(
            on_device,
            tasks,
            episodes=protocol.episodes,
            steps=protocol.steps,
            seed=protocol.seed,
            deterministic=protocol.deterministic,
            where=f"evaluation of {run_dir} after {checkpoint.iteration} iterations",
        )
        return evaluation.curve.returns

    return _measured([*kept, last], known, measure, progress)


def _measured(
    checkpoints: Sequence[Checkpoint],
    known: _Known,
    measure: Callable[[Checkpoint], Array],
    progress: Callable[[int, int], None],
) -> list[Judged]:
    judged = []
    for done, checkpoint in enumerate(checkpoints):
        progress(done, len(checkpoints))
        name = digest(checkpoint.state.parameters, {})
        returns = known.get(name)
        if returns is None:
            returns = measure(checkpoint)
            known.keep(name, returns)
        judged.append(Judged(checkpoint.iteration, checkpoint.environment_steps, returns))
    return judged


class _Known:
    """Returns measured before, by the digest of the policy, in a file of one protocol, tasks and version."""

    def __init__(self, run_dir: Path, protocol: Protocol, tasks: Tasks) -> None:
        self._stamp: dict[str, Any] = {
            "protocol": {name: v for name, v in asdict(protocol).items() if name not in _OF_TASKS},
            "tasks": {name: values.tolist() for name, values in tasks.items()},
            "metarl": VERSION,
        }
        self._path = judged_file(run_dir, self._stamp)
        try:
            self._returns = dict(json.loads(self._path.read_text())["returns"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self._returns = {}  # measured anew

    def get(self, name: str) -> Array | None:
        return np.array(self._returns[name]) if name in self._returns else None

    def keep(self, name: str, returns: Array) -> None:
        self._returns[name] = returns.tolist()
        self._path.parent.mkdir(exist_ok=True)
        write_atomically(self._path, json.dumps({**self._stamp, "returns": self._returns}).encode())
