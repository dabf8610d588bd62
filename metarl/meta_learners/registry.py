"""Names in configs -> meta-learners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from metarl.math.task_map import TaskMap
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.maml_trpo import MamlTrpo, MamlTrpoConfig
from metarl.policies.gaussian_mlp import Policy


class Registered(NamedTuple):
    """A meta-learner's settings and how it is built from them."""

    config: type[Any]
    build: Callable[[Policy, Any, TaskMap], MetaLearner]


META_LEARNERS: dict[str, Registered] = {
    "maml_trpo": Registered(MamlTrpoConfig, MamlTrpo),
}
