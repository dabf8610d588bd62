"""Names in configs -> meta-learners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.anil import anil
from metarl.meta_learners.cavia import CaviaConfig, cavia
from metarl.meta_learners.e_maml import EMamlConfig, e_maml
from metarl.meta_learners.imaml import ImamlConfig, imaml
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.maml import maml
from metarl.meta_learners.maml_pp import MamlPpConfig, maml_pp
from metarl.meta_learners.meta_sgd import meta_sgd
from metarl.meta_learners.multi_task import MultiTaskConfig, multi_task
from metarl.meta_learners.promp import PrompConfig, promp
from metarl.meta_learners.reptile import ReptileConfig, reptile
from metarl.meta_learners.settings import GradientConfig
from metarl.policies.policy import Policy


class Registered(NamedTuple):
    """A meta-learner's settings and how it is built from them.

    Args:
        learns_every_step_size: whether each inner step has learned sizes of its own, so that a
            `later_step_scale` sets where they start, and adaptation does not read it.
    """

    config: type[Any]
    build: Callable[[Policy, Any, TaskMap], MetaLearner]
    learns_every_step_size: bool = False


META_LEARNERS: dict[str, Registered] = {
    "maml": Registered(GradientConfig, maml),
    "anil": Registered(GradientConfig, anil),
    "e_maml": Registered(EMamlConfig, e_maml),
    "promp": Registered(PrompConfig, promp),
    "meta_sgd": Registered(GradientConfig, meta_sgd),
    "maml_pp": Registered(MamlPpConfig, maml_pp, learns_every_step_size=True),
    "reptile": Registered(ReptileConfig, reptile),
    "imaml": Registered(ImamlConfig, imaml),
    "cavia": Registered(CaviaConfig, cavia),
    "multi_task": Registered(MultiTaskConfig, multi_task),
}
