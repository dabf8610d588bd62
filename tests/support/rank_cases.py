"""Small runs of every kind of outer step, for several ranks: tasks that no number of ranks shares evenly."""

from __future__ import annotations

from typing import Any


def _case(**meta_learner: Any) -> dict[str, Any]:
    return {
        "seed": 3,
        "environment": {"id": "metarl/PointNavigation-v0", "horizon": 12, "options": {"preset": "maml"}},
        "policy": {"hidden_sizes": [8, 8]},
        "sampling": {"tasks": 7, "episodes": 6},
        "meta_learner": {"inner_step_size": 0.1, **meta_learner},
        "training": {
            "iterations": 3,
            "evaluate_every": 2,
            "evaluation_tasks": 5,
            "evaluation_episodes": 2,
            "evaluation_steps": 1,
            "figures": False,
        },
    }


CASES: dict[str, dict[str, Any]] = {
    "maml_trpo": _case(name="maml"),
    "maml_ppo": _case(name="maml", outer="ppo"),
    "maml_learned_step": _case(name="maml", learn_step_size=True),
    "promp": _case(name="promp"),
    "e_maml": _case(name="e_maml"),
    "imaml": _case(name="imaml"),
    "cavia": _case(name="cavia"),
    "reptile": _case(name="reptile"),
}
"""Configs without a run folder, by name."""
