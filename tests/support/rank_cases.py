"""Small runs of every kind of outer step, for several ranks: tasks that no number of ranks shares evenly."""

from __future__ import annotations

from typing import Any


def _case(meta_learner: dict[str, Any], policy: dict[str, Any], **sampling: int) -> dict[str, Any]:
    return {
        "seed": 3,
        "environment": {"id": "metarl/PointNavigation-v0", "horizon": 12, "options": {"preset": "maml"}},
        "policy": policy,
        "sampling": {"tasks": 7, "episodes": 6, **sampling},
        "meta_learner": meta_learner,
        "training": {
            "iterations": 3,
            "evaluate_every": 2,
            "evaluation_tasks": 5,
            "evaluation_episodes": 2,
            "evaluation_steps": 1,
            "figures": False,
        },
    }


def _by_gradient(**meta_learner: Any) -> dict[str, Any]:
    return _case({"inner_step_size": 0.1, **meta_learner}, {"hidden_sizes": [8, 8]})


BY_GRADIENT = {
    "maml_trpo": _by_gradient(name="maml"),
    "maml_ppo": _by_gradient(name="maml", outer="ppo"),
    "maml_learned_step": _by_gradient(name="maml", learn_step_size=True, first_step_kl=0.05),
    "promp": _by_gradient(name="promp"),
    "e_maml": _by_gradient(name="e_maml"),
    "imaml": _by_gradient(name="imaml"),
    "cavia": _by_gradient(name="cavia"),
    "reptile": _by_gradient(name="reptile"),
}
"""Of one task each: their tasks' results are the same numbers on any rank."""
SEVERAL_TASKS = {
    "rl2": _case({"name": "rl2", "minibatches": 2}, {"name": "gru", "hidden_size": 8, "head_sizes": [8]}),
    "varibad": _case(
        {"name": "varibad", "minibatches": 2, "belief_trials": 4},
        {"name": "belief", "hidden_size": 8, "latent_size": 2, "head_sizes": [8]},
    ),
    "pearl": _case(
        {"name": "pearl", "meta_batch": 3, "batch_size": 16, "context_steps": 8, "critic_sizes": [8]},
        {"name": "posterior", "latent_size": 2, "encoder_sizes": [8], "hidden_sizes": [8]},
        training_tasks=9,
    ),
    "recurrent_sac": _case(
        {"name": "recurrent_sac", "meta_batch": 3, "critic_hidden_size": 8, "critic_sizes": [8]},
        {"name": "squashed_gru", "hidden_size": 8, "hidden_sizes": [8]},
    ),
}
"""Of whole minibatches of tasks at once, whose sums are taken by rank."""
CASES = {**BY_GRADIENT, **SEVERAL_TASKS}
"""Configs without a run folder, by name."""
