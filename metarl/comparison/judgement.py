"""How every policy of a comparison is judged, once for a policy and a protocol."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt
from metarl_envs.task_parameters import Array

from metarl.errors import NonFiniteError
from metarl.meta_policy import load
from metarl.training.checkpoint import POLICY, write_atomically
from metarl.training.loop import name_fault

JUDGED = "comparison.json"


@dataclass(frozen=True)
class Protocol:
    """How every policy is judged: on the same held-out tasks, on episodes that adaptation did not use.

    Args:
        tasks: held-out tasks.
        episodes: episodes a task and inner step.
        steps: inner steps K.
        seed: chooses the tasks and the evaluation's noise, for all runs alike.
        deterministic: measure returns with mean actions.
        later_step_scale: of inner steps after the first; null for each algorithm's own.
    """

    tasks: PositiveInt = 40
    episodes: PositiveInt = 20
    steps: PositiveInt = 3
    seed: NonNegativeInt = 0
    deterministic: bool = False
    later_step_scale: float | None = None


def judge(run_dir: Path, protocol: Protocol) -> Array:
    """Returns by inner step and task, [step + 1, task]; measured once for a checkpoint and a protocol.

    Raises:
        MetaRLError: the run cannot be read, or something was not finite.
    """
    digest = hashlib.sha256((run_dir / POLICY).read_bytes()).hexdigest()
    stamp = {"protocol": asdict(protocol), "policy": digest}
    kept = run_dir / JUDGED
    if (returns := _kept_returns(kept, stamp)) is not None:
        return returns
    policy = load(run_dir, "auto", later_step_scale=protocol.later_step_scale)
    tasks = policy.experiment.held_out_tasks(protocol.tasks, protocol.seed)
    try:
        curve, _ = policy.experiment.evaluate(
            policy.parameters,
            tasks,
            episodes=protocol.episodes,
            steps=protocol.steps,
            seed=protocol.seed,
            deterministic=protocol.deterministic,
        )
    except NonFiniteError as error:
        raise name_fault(error, policy.experiment.config.environment.id, tasks, str(run_dir)) from error
    text = json.dumps({**stamp, "returns": curve.returns.tolist()})
    write_atomically(kept, text.encode())
    return curve.returns


def _kept_returns(path: Path, stamp: dict[str, Any]) -> Array | None:
    """Returns measured before for the same policy and protocol; None without whole ones."""
    try:
        found = json.loads(path.read_text())
        return np.array(found["returns"]) if {name: found[name] for name in stamp} == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
