"""Out to stable-baselines3 and back: a Gaussian MLP policy as the actor of its on-policy algorithms."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize
from torch import Tensor

from metarl.math.parameters import Parameters
from metarl.policies.algorithms import find_algorithm
from metarl.policies.context import plain_network, without_context
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.policy import AnyPolicy
from metarl.policies.torch_module import ACTIVATIONS

ENVIRONMENTS: Mapping[type, str] = {
    gymnasium.Env: "a gymnasium.Env",
    VecEnv: "a stable-baselines3 VecEnv, as metarl_envs.sb3_vec_env.make_sb3_vec_env makes of a native batch",
}
"""What a model may go on training in, and what that is called."""
_LARGEST_MEMBER = 2**30
"""Bytes that a member of a model's file may unpack to, and all members of that one."""
_SET_HERE = ("net_arch", "activation_fn")


def to_sb3(
    algorithm: str | type[BaseAlgorithm],
    policy: AnyPolicy,
    parameters: Parameters,
    env: gymnasium.Env[Any, Any] | VecEnv,
    /,
    **settings: Any,
) -> OnPolicyAlgorithm:
    """Builds a stable-baselines3 model whose actor is a policy; its critic is fresh.

    The floor `min_std` is applied once: stable-baselines3 has none, and training may go below it. A
    context becomes part of the first bias; learned step sizes are left out.

    Args:
        algorithm: "PPO", "A2C", sb3-contrib's "TRPO" where it is installed, or a class.
        parameters: one task's, without a task axis.
        env: what the model goes on training in, with the action space of the policy's own training.
        settings: keyword arguments of the algorithm, e.g. `n_steps`; `policy_kwargs` without `net_arch`
            and `activation_fn`, which are the policy's. The critic has the actor's hidden sizes.

    Raises:
        ValueError: an algorithm with another actor, an unknown one, or an environment, policy or setting
            that does not fit.
    """
    model_class = _on_policy(algorithm)
    network, plain = plain_network(policy), without_context(policy, parameters)
    if isinstance(env, VecEnv):
        _check_not_normalised(env)
    given = dict(settings.pop("policy_kwargs", None) or {})
    if taken := [name for name in _SET_HERE if name in given]:
        raise ValueError(f"expected policy_kwargs without {taken}, which are the policy's: leave them out")
    hidden = list(network.hidden_sizes)
    shape = {"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": ACTIVATIONS[network.activation]}
    settings = {"device": plain["log_std"].device, **settings, "policy_kwargs": {**given, **shape}}
    try:
        model = model_class("MlpPolicy", env, **settings)
    except (TypeError, AssertionError) as error:
        keys = sorted(set(settings) - {"device", "policy_kwargs"})
        reason = f"{error}".splitlines()[0]
        raise ValueError(
            f"expected settings that {model_class.__name__} takes, got {keys}: {reason}"
        ) from error
    state = model.policy.state_dict()
    actor = {_sb3_name(name, network): value for name, value in plain.items()}
    actor["log_std"] = network.log_std(plain)
    wrong = [name for name, value in actor.items() if name not in state or state[name].shape != value.shape]
    if wrong or _extracts_features(state):
        raise ValueError(
            f"expected an actor {network.architecture} of the observation itself, got "
            f"{_shapes(state)}; leave out use_sde and features extractors, and take an environment "
            "of the policy's observation and action sizes"
        )
    model.policy.load_state_dict({**state, **actor})
    return model


def from_sb3(model: OnPolicyAlgorithm | str | Path, policy: AnyPolicy) -> Parameters:
    """The actor of a stable-baselines3 model of PPO's kind, as parameters of the plain network of a policy.

    Of a file, only the tensors of `policy.pth` are read, by torch's loader for weights alone, and the plain
    JSON beside them: nothing is unpickled, so a foreign file cannot run code. Whether its observations
    were normalised, and its action space, cannot be told from it: both must be as in the policy's training.

    Args:
        model: a model, or the .zip file that its `save` wrote.
        policy: of the shape to be had; of a policy with context, the network of the observation alone.

    Raises:
        ValueError: no such file, a model of another kind, or another shape or activation.
    """
    state, activation = _read(Path(model)) if isinstance(model, (str, Path)) else _of(model)
    wanted = plain_network(policy)
    found, parameters = _network(state, activation)
    if found.architecture != wanted.architecture:
        raise ValueError(
            f"expected an actor {wanted.architecture} (units by layer, activation), got "
            f"{found.architecture}; give the policy its hidden_sizes and activation, and both the same "
            "environment"
        )
    return parameters


def _on_policy(algorithm: str | type[BaseAlgorithm]) -> type[OnPolicyAlgorithm]:
    found = find_algorithm(algorithm) if isinstance(algorithm, str) else algorithm
    if not (isinstance(found, type) and issubclass(found, OnPolicyAlgorithm)) or (
        found.policy_aliases.get("MlpPolicy") is not ActorCriticPolicy
    ):
        name = getattr(found, "__name__", found)
        raise ValueError(
            f'expected an on-policy algorithm with a Gaussian MLP actor ("PPO", "A2C", "TRPO"), got {name}, '
            "whose actor is of another kind: go on with PPO, or train it afresh on episodes that this "
            "policy collects"
        )
    return found


def _check_not_normalised(env: VecEnv) -> None:
    normalised = unwrap_vec_normalize(env)
    if normalised is not None and normalised.norm_obs:
        raise ValueError(
            "expected the environment's own observations, got VecNormalize's; set norm_obs=False, and train "
            "so from the start"
        )


def _of(model: OnPolicyAlgorithm) -> tuple[Mapping[str, Tensor], str]:
    """State dict of the policy and name of its activation."""
    _on_policy(type(model))
    if model.env is not None:
        _check_not_normalised(model.env)
    return model.policy.state_dict(), _activation(str(model.policy.activation_fn))


def _read(path: Path) -> tuple[Mapping[str, Tensor], str]:
    try:
        with zipfile.ZipFile(path if path.suffix else path.with_suffix(".zip")) as file:
            kwargs = json.loads(_member(file, "data")).get("policy_kwargs", {})
            tensors = BytesIO(_member(file, "policy.pth"))
        with zipfile.ZipFile(tensors) as parts:  # torch's own file is a zip, and unpacks it whole
            if sum(part.file_size for part in parts.infolist()) > _LARGEST_MEMBER:
                raise ValueError(f"policy.pth unpacks to more than {_LARGEST_MEMBER >> 20} MiB")
        tensors.seek(0)
        state = torch.load(tensors, map_location="cpu", weights_only=True)
        if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
            raise ValueError("policy.pth holds no tensors by their names")
        return dict(state), _activation(kwargs.get("activation_fn", str(torch.nn.Tanh)))
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ValueError(
            f"expected a model saved by stable-baselines3 (.zip), got {path}: {reason}"
        ) from error
    except Exception as error:  # of the readers of zips, of their compressions and of pickles
        raise ValueError(
            f"expected a model saved by stable-baselines3 (.zip), got {path}, which is none or damaged"
        ) from error


def _member(file: zipfile.ZipFile, name: str) -> bytes:
    """What a member holds.

    Raises:
        KeyError, ValueError: it is missing, or unpacks to more than any model.
    """
    with file.open(name) as member:
        data = member.read(_LARGEST_MEMBER + 1)
    if len(data) > _LARGEST_MEMBER:
        raise ValueError(f"{name} unpacks to more than {_LARGEST_MEMBER >> 20} MiB")
    return data


def _activation(class_name: str) -> str:
    """ "<class 'torch.nn.modules.activation.ReLU'>" -> "relu"; another kind's own name."""
    name = class_name.strip("<>'").rpartition(".")[2]
    return next((ours for ours, kind in ACTIVATIONS.items() if kind.__name__ == name), name)


def _network(state: Mapping[str, Tensor], activation: str) -> tuple[GaussianMLP, Parameters]:
    """The plain network that a state dict holds, and its parameters.

    Raises:
        ValueError: the state dict of another kind of actor.
    """
    layers = [name for name in state if name.startswith("mlp_extractor.policy_net.")]
    weights = [state[name] for name in layers if name.endswith(".weight")]
    last, log_std = state.get("action_net.weight"), state.get("log_std")
    if last is None or log_std is None or log_std.shape != last.shape[:1] or _extracts_features(state):
        raise ValueError(
            "expected the Gaussian MLP actor of PPO, A2C or TRPO, without use_sde and features extractors, "
            f"got {_shapes(state)}"
        )
    if any(weight.ndim != 2 for weight in (*weights, last)):
        raise ValueError(f"expected layers' weights of two axes, got {_shapes(state)}")
    sizes = [weight.shape[1] for weight in (*weights, last)]
    kind: Any = activation
    network = GaussianMLP(sizes[0], len(last), tuple(sizes[1:]), kind)
    ends = [*sizes[1:], len(last)]
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, fan_in, fan_out in zip(network.layer_names, sizes, ends, strict=True):
        shapes |= {f"{layer}.weight": (fan_out, fan_in), f"{layer}.bias": (fan_out,)}
    shapes["log_std"] = (len(last),)
    names = {name: _sb3_name(name, network) for name in shapes}
    return network, {name: _numbers(state, names[name], shape) for name, shape in shapes.items()}


def _numbers(state: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """One tensor of a state dict, apart from it.

    Raises:
        ValueError: it is missing, or no finite numbers of this shape.
    """
    value = state.get(name)
    if value is None or tuple(value.shape) != shape:
        raise ValueError(f"expected {name} of the shape {shape}, got {_shapes(state)}")
    plain = value.is_floating_point() and value.layout == torch.strided and not value.is_meta
    if not plain or not value.float().isfinite().all():
        raise ValueError(f"expected {name} to hold finite numbers, got others; save a model that still acts")
    return value.detach().clone()


def _sb3_name(name: str, network: GaussianMLP) -> str:
    """ "hidden.1.weight" -> "mlp_extractor.policy_net.2.weight": activations count as layers there."""
    layer, _, part = name.rpartition(".")
    if not layer:
        return name
    if layer == "mean":
        return f"action_net.{part}"
    return f"mlp_extractor.policy_net.{2 * network.layer_names.index(layer)}.{part}"


def _extracts_features(state: Mapping[str, Tensor]) -> bool:
    return any("features_extractor" in name for name in state)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Of what is no critic."""
    actor = {name: value for name, value in state.items() if "value" not in name and "critic" not in name}
    return {name: tuple(value.shape) for name, value in actor.items()}
