"""The sections that every config has: dataclasses, whose docstrings explain their keys."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from typing import Any, ClassVar, Literal, get_type_hints

from jsonargparse.typing import NonNegativeInt, PositiveInt

from metarl.policies.registry import SIZES
from metarl.rollouts.advantages import AdvantageConfig

GAUSSIAN_MLP = "gaussian_mlp"
"""`policy.name` where a config does not say."""


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


@dataclass(frozen=True)
class PolicyConfig:
    """The policy, and where training starts.

    Args:
        name: a registered policy, or "my_package:MyPolicy".
        settings: the named class's fields but for its sizes, checked; keys of the section beside `name`.
        start_from: a policy to start at: stable-baselines3's .zip, a run folder, or a policy's .safetensors;
            "" for none. Its network is this one's; PPO, A2C and TRPO of stable-baselines3 have such networks.
        normalize_observations: by running moments of all that training sampled, frozen within an iteration;
            they are parts of the policy that no gradient step moves.
    """

    name: str = GAUSSIAN_MLP
    settings: dict[str, Any] = field(default_factory=dict)
    start_from: str = ""
    normalize_observations: bool = False


@dataclass(frozen=True)
class SamplingConfig:
    """What an iteration samples.

    Args:
        tasks: tasks per iteration (the meta-batch).
        training_tasks: tasks in a list that is drawn once, of which every iteration takes different ones at
            random; 0 for fresh tasks in every iteration.
        episodes: episodes per task and inner step.
        num_threads: simulation threads, or processes of "async" environments; 0 for one per CPU. Results
            do not depend on it.
        timeout_seconds: how long a process of "async" environments may take for a step or reset of all its
            copies before the run ends; 0 for ever.
        advantages: how advantages are estimated.
    """

    tasks: PositiveInt = 20
    training_tasks: NonNegativeInt = 0
    episodes: PositiveInt = 20
    num_threads: NonNegativeInt = 0
    timeout_seconds: NonNegativeInt = 600
    advantages: AdvantageConfig = field(default_factory=AdvantageConfig)

    changeable: ClassVar[tuple[str, ...]] = ("num_threads", "timeout_seconds")
    """Keys that may differ at a resume: what is learned does not follow from them."""


def policy_keys(policy: type[Any]) -> type[Any]:
    """The dataclass of a policy section's keys but `name`: the class's but its sizes, and all policies'."""
    hints = get_type_hints(policy)
    own: list[Any] = []
    for key in fields(policy):
        if key.init and key.name not in SIZES:
            given = key.default_factory is not MISSING
            default = {"default_factory": key.default_factory} if given else {"default": key.default}
            own.append((key.name, hints[key.name], field(**default)))
    own += [("start_from", str, field(default="")), ("normalize_observations", bool, field(default=False))]
    return make_dataclass(policy.__name__, own, frozen=True, kw_only=True)
