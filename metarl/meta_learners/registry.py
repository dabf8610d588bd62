"""Names in configs -> meta-learners, and the settings that are the keys of the config's section."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

from metarl.compute.task_map import TaskMap
from metarl.errors import ConfigError, one_line
from metarl.meta_learners.anil import anil
from metarl.meta_learners.cavia import cavia
from metarl.meta_learners.e_maml import e_maml
from metarl.meta_learners.imaml import imaml
from metarl.meta_learners.learner import MetaLearner
from metarl.meta_learners.maml import maml
from metarl.meta_learners.maml_pp import maml_pp
from metarl.meta_learners.meta_sgd import meta_sgd
from metarl.meta_learners.multi_task import multi_task
from metarl.meta_learners.normalising import normalising
from metarl.meta_learners.pearl import pearl
from metarl.meta_learners.promp import promp
from metarl.meta_learners.recurrent_sac import recurrent_sac
from metarl.meta_learners.reptile import reptile
from metarl.meta_learners.rl2 import rl2
from metarl.meta_learners.varibad import varibad
from metarl.policies.normalised import NormalisedPolicy
from metarl.policies.plug_ins import check_registered_name, find_named
from metarl.policies.policy import AnyPolicy, Policy, Remembering, has_memory
from metarl.policies.registry import POLICIES

ADVANTAGES = "sampling.advantages"
_EXPECTED = "expected a function (policy, settings: MySettings, task_map), MySettings a dataclass, got"
Build = Callable[[Any, Any, TaskMap], MetaLearner]


class Registered(NamedTuple):
    """A meta-learner's settings and how it is built from them.

    Args:
        config: the dataclass of its settings.
    """

    config: type[Any]
    build: Build

    def takes(self, policy: type[Any]) -> bool:
        """Whether the annotation of the builder's first parameter admits a class of policies."""
        wanted = _parameters(self.build)[0]
        if wanted is Policy:
            return not has_memory(policy)
        if wanted is Remembering:
            return has_memory(policy)
        return issubclass(policy, wanted) if _is_class(wanted) else True

    def check_policy(self, policy: type[Any]) -> None:
        """Refuses a class of policies that the builder does not take.

        Raises:
            ConfigError: it does not.
        """
        if self.takes(policy):
            return
        wanted = _parameters(self.build)[0]
        expected = "a policy without memory" if wanted is Policy else _name_of(wanted)
        raise ConfigError(f"policy.name: expected {expected}, got {_name_of(policy)}")

    def of(self, policy: AnyPolicy, settings: Any, task_map: TaskMap) -> MetaLearner:
        """The meta-learner of a policy; of one that normalises observations, on normalised ones.

        Raises:
            ConfigError: a policy that it does not take, or settings that are wrong about the learner.
        """
        plain = policy.policy if isinstance(policy, NormalisedPolicy) else policy
        self.check_policy(type(plain))
        reads_advantages = ADVANTAGES not in getattr(settings, "unread", ())
        learner = replace(self.build(plain, settings, task_map), reads_advantages=reads_advantages)
        return learner if plain is policy else normalising(learner, task_map)


META_LEARNERS: dict[str, Registered] = {}


def register_meta_learner(name: str, build: Build) -> None:
    """Makes a meta-learner available as `meta_learner.name` in configs, within this process.

    Commands are processes of their own: for them, name it with its module, "my_package:my_learner".

    Args:
        name: without a colon, e.g. "pre_training".
        build: (policy, settings, task_map) -> `MetaLearner`, a function or a class. The annotation of its
            first parameter, if it has one, says which policies it takes: `Policy` those without memory, a
            class that class's. The annotation of its second parameter is a frozen dataclass, whose fields are
            the keys of the config's section, with their types and defaults; its class attributes `read_with`
            and `unread` may say which keys are not read (`metarl.experiment.read_keys`).

    Raises:
        ValueError: a name with a colon or of another meta-learner, or a second parameter without such an
            annotation.

    Examples:
        >>> metarl.register_meta_learner("pre_training", PreTraining)
        >>> metarl.train("quickstart", overrides={"meta_learner": {"name": "pre_training"}})
    """
    builds = {one: registered.build for one, registered in META_LEARNERS.items()}
    check_registered_name(name, build, builds)
    META_LEARNERS[name] = Registered(_settings(build), build)


def find_meta_learner(name: str) -> Registered:
    """The meta-learner registered under a name, or that "my_package:my_learner" stands for.

    Raises:
        ConfigError: no such meta-learner, or one of another shape.
    """
    found = find_named("meta_learner.name", name, META_LEARNERS)
    if isinstance(found, Registered):
        return found
    try:
        return Registered(_settings(found), found)
    except ValueError as error:
        raise ConfigError(f"meta_learner.name: {name}: {error}") from error


def _settings(build: Any) -> type[Any]:
    """The annotation of the second parameter."""
    annotations = _parameters(build)
    settings = annotations[1] if len(annotations) == 3 else None
    if not (isinstance(settings, type) and is_dataclass(settings)):
        raise ValueError(f"{_EXPECTED} {build.__name__}{inspect.signature(build)}")
    if "name" in {field.name for field in fields(settings)}:
        raise ValueError(f"expected settings other than name, which configs have, got {settings.__name__}")
    return settings


def _parameters(build: Any) -> list[Any]:
    """The annotations of the parameters.

    Raises:
        ValueError: what is no function, or has annotations of nothing.
    """
    if not callable(build):
        raise ValueError(f"{_EXPECTED} {one_line(build)}")
    try:
        signature = inspect.signature(build, eval_str=True)
    except (TypeError, ValueError, NameError) as error:
        raise ValueError(f"{_EXPECTED} {one_line(build)}") from error
    return [parameter.annotation for parameter in signature.parameters.values()]


def _is_class(annotation: Any) -> bool:
    """Whether an annotation stands for a class of policies, and not for whatever there is."""
    return isinstance(annotation, type) and annotation not in (object, inspect.Parameter.empty)


def _name_of(policy: type[Any]) -> str:
    """The name in configs of a class of policies."""
    return next((name for name, one in POLICIES.items() if one is policy), policy.__name__)


register_meta_learner("maml", maml)
register_meta_learner("anil", anil)
register_meta_learner("e_maml", e_maml)
register_meta_learner("promp", promp)
register_meta_learner("meta_sgd", meta_sgd)
register_meta_learner("maml_pp", maml_pp)
register_meta_learner("reptile", reptile)
register_meta_learner("imaml", imaml)
register_meta_learner("cavia", cavia)
register_meta_learner("multi_task", multi_task)
register_meta_learner("rl2", rl2)
register_meta_learner("varibad", varibad)
register_meta_learner("pearl", pearl)
register_meta_learner("recurrent_sac", recurrent_sac)
