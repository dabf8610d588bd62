"""The sections that every config has: dataclasses, whose docstrings explain their keys."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from functools import cache
from typing import Any, ClassVar, Literal, get_type_hints

from jsonargparse.typing import NonNegativeInt, PositiveInt

from metarl.experiment.read_keys import Unread, conditions
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import has_memory
from metarl.policies.registry import SIZES, find_policy
from metarl.rollouts.advantages import AdvantageConfig

_SHARED = ("start_from", "normalise_observations")
"""Keys of every policy's section."""


@dataclass(frozen=True)
class EnvironmentConfig:
    """The environment.

    Args:
        id: a Gymnasium id: "metarl/HalfCheetahVel-v0", or any other environment with a task hook.
        horizon: steps per episode.
        options: keyword arguments of the environment, such as preset and action_scale.
        vectorization: "native" for metarl's own environments, "sync" or "async" (several processes) for any
            other; "auto" for "native" where the environment can and else "sync".
    """

    id: str
    horizon: PositiveInt
    options: dict[str, Any] = field(default_factory=dict)
    vectorization: Literal["auto", "native", "sync", "async"] = "auto"

    read_with: ClassVar[dict[str, Any]] = {
        "sampling.num_threads": {"vectorization": ("auto", "native", "async")},
        "sampling.timeout_seconds": {"vectorization": ("async",)},
    }


@dataclass(frozen=True)
class PolicyConfig:
    """The policy, and where training starts.

    Args:
        name: a registered policy, or "my_package:MyPolicy".
        settings: the named class's fields but for its sizes, checked; keys of the section beside `name`.
        start_from: a policy to start at: stable-baselines3's .zip, a run folder, or a policy's .safetensors;
            "" for none. Its network is this one's; PPO, A2C and TRPO of stable-baselines3 have such networks.
        normalise_observations: scale observations by running moments of all that training sampled, frozen
            within an iteration; they are parts of the policy that no gradient step moves.
    """

    name: str = "gaussian_mlp"
    settings: dict[str, Any] = field(default_factory=dict)
    start_from: str = ""
    normalise_observations: bool = False


@dataclass(frozen=True)
class SamplingConfig:
    """What an iteration samples.

    Args:
        tasks: tasks per iteration.
        training_tasks: tasks in a list that is drawn once, of which every iteration takes different ones at
            random; 0 for fresh tasks in every iteration.
        episodes: episodes per task and inner step.
        num_threads: simulation threads, or processes of "async" environments; 0 for one per CPU. Results
            do not depend on it.
        timeout_seconds: how long a process of "async" environments may take for a step or reset of all its
            copies before the run ends; 0 for ever.
        advantages: how advantages are estimated.

    Raises:
        ValueError: a list of fewer tasks than an iteration takes.
    """

    tasks: PositiveInt = 20
    training_tasks: NonNegativeInt = 0
    episodes: PositiveInt = 20
    num_threads: NonNegativeInt = 0
    timeout_seconds: NonNegativeInt = 600
    advantages: AdvantageConfig = field(default_factory=AdvantageConfig)

    changeable: ClassVar[tuple[str, ...]] = ("num_threads", "timeout_seconds")
    """Keys that may differ at a resume: what is learned does not follow from them."""

    def __post_init__(self) -> None:
        if 0 < self.training_tasks < self.tasks:
            raise ValueError(
                f"sampling.training_tasks: expected 0 or at least {self.tasks}, the sampling.tasks, "
                f"got {self.training_tasks}"
            )


def policy_keys(policy: type[Any]) -> type[Any]:
    """The dataclass of a policy section's keys but `name`: the class's but its sizes, and all policies'."""
    of_class: Any = policy
    return _policy_keys(of_class)


@cache
def _policy_keys(policy: Any) -> type[Any]:
    hints = get_type_hints(policy)
    own: list[Any] = []
    for key in fields(policy):
        if key.init and key.name not in SIZES:
            given = key.default_factory is not MISSING
            default = {"default_factory": key.default_factory} if given else {"default": key.default}
            own.append((key.name, hints[key.name], field(**default)))
    own += [("start_from", str, field(default="")), ("normalise_observations", bool, field(default=False))]
    read_with = {**conditions(policy), "start_from": {"normalise_observations": (False,)}}
    if policy is GaussianMLP:
        read_with |= {name: {"start_from": ("",)} for name in GaussianMLP.of_start}
    return make_dataclass(policy.__name__, own, frozen=True, kw_only=True, namespace={"read_with": read_with})


def unread_with_policy(name: str, policy: type[Any]) -> Unread:
    """The keys of a policy's section that nothing reads with its class, whatever the values.

    One with memory normalises nothing, and but for the Gaussian MLP none has the layers of another policy.
    """
    unread = [] if policy is GaussianMLP else ["start_from"]
    if has_memory(policy):
        unread.append("normalise_observations")
    return {f"policy.{key}": f"policy.name {name}" for key in unread}


def policy_config(name: str, section: Any) -> PolicyConfig:
    """The policy of a section that was read, of a dataclass of `policy_keys`.

    Raises:
        ValueError: settings that its class refuses at any sizes; those of the environment are yet to come.
    """
    settings = {key.name: getattr(section, key.name) for key in fields(section)}
    shared = {key: settings.pop(key) for key in _SHARED}
    try:
        find_policy(name)(**dict.fromkeys(SIZES, 1), **settings)
    except ValueError as error:
        if not str(error).startswith(SIZES):
            raise ValueError(f"policy.{error}") from error
    return PolicyConfig(name, settings=settings, **shared)


def policy_section(policy: PolicyConfig) -> Any:
    """The section of a policy: the inverse of `policy_config`."""
    shared = {key: getattr(policy, key) for key in _SHARED}
    return policy_keys(find_policy(policy.name))(**policy.settings, **shared)
