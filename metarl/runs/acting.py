"""What meta-policies and adapted policies share: they act, and go where policies are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torch
from metarl_envs.arguments import REAL, as_array, told
from numpy.typing import NDArray
from torch import Tensor

from metarl.errors import check_kinds
from metarl.math.parameters import Parameters, kind
from metarl.policies.onnx_file import write_onnx
from metarl.policies.policy import AnyPolicy, Carry, remembers
from metarl.policies.torch_module import to_torch
from metarl.rollouts.episodes import within
from metarl.runs.description import PolicyDescription
from metarl.runs.remembered_actions import State, remembered_actions

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

_STABLE_BASELINES = "metarl.policies.stable_baselines"
"""Imported when a policy goes there: acting needs no stable-baselines3, and TensorBoard comes with it."""
_OF_PREDICTION = {"deterministic": (bool, np.bool_)}
_SINGLE: Mapping[type, str] = {gymnasium.Env: "a gymnasium.Env"}


class ActingPolicy:
    """A policy with parameters of its own, and stable-baselines3's `predict`.

    Attributes:
        description: what its file says of it.
        policy: the pure function of parameters and observations.
        parameters: its argument, without a task axis.
        carry: what a policy with memory knows of its task, [1, 1, ...]; empty of any other.
        action_space: the box of the training environment, to which actions are clipped.
    """

    def __init__(
        self,
        description: PolicyDescription,
        policy: AnyPolicy,
        parameters: Parameters,
        carry: Carry | None = None,
    ) -> None:
        self.description = description
        self.policy = policy
        self.parameters = parameters
        self.carry = carry or {}
        self.action_space = description.actions.space
        self._generator = torch.Generator(self.device)

    def __repr__(self) -> str:
        said = self.description
        task = "" if said.task is None else f", task={dict(said.task)}"
        return f"{type(self).__name__}({said.environment['id']}, {self.policy}{task})"

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(iter(self.parameters.values())).device

    def predict(
        self,
        observation: NDArray[Any],
        state: State | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
        *,
        reward: NDArray[Any] | float | None = None,
        final_observation: NDArray[Any] | None = None,
    ) -> tuple[NDArray[Any], State | None]:
        """The action for an observation, or the actions for a batch of them, clipped to the action space.

        A policy without memory reads nothing but the observation, and returns the state as it is.

        Args:
            observation: [observation] or [env, observation].
            state: what the call before returned; None begins with what the policy knows of its task.
            episode_start: [env]; whether an episode ended by the last action. Nothing is forgotten there.
            deterministic: take the mean instead of drawing.
            reward: [env]; of the last action, which stable-baselines3's callers do not give: a policy that
                remembers rewards needs it beside a state.
            final_observation: as `observation`; what the last action led to where it ended an episode:
                gymnasium's `final_obs`, stable-baselines3's `terminal_observation`. Other rows are not read.
                A policy that remembers where its actions led needs it there.

        Raises:
            TypeError: `deterministic` is no truth value.
            ValueError: an observation of another size, or not of finite numbers, or a policy that remembers
                what it is not told.

        Examples:
            >>> action, state = policy.predict(observation)
            >>> action, state = policy.predict(after, state, reward=-0.3)  # after a step
        """
        dtype, device = kind(self.parameters)
        check_kinds(_OF_PREDICTION, locals())
        batch = self._batch(observation)
        if not batch.isfinite().all():
            raise ValueError(f"expected a finite observation, got {told(observation)}")
        if remembers(self.policy):
            rows = batch.reshape(-1, batch.shape[-1])
            final = None if final_observation is None else self._batch(final_observation)
            if final is not None and final.shape != batch.shape:
                expected, got = list(batch.shape), list(final.shape)
                raise ValueError(f"expected final_observation {expected}, as the observation, got {got}")
            paid = None if reward is None else np.asarray(reward)
            last = state, episode_start, paid, None if final is None else final.reshape(rows.shape)
            with torch.inference_mode():
                actions, after = remembered_actions(
                    self.policy, self.parameters, self.carry, rows, *last, self._generator, deterministic
                )
            return within(self.action_space, actions.view(*batch.shape[:-1], -1).cpu().numpy()), after
        with torch.inference_mode():
            distribution = self.policy(self.parameters, batch)
            actions = distribution.mode
            if not deterministic:
                noise = torch.randn(actions.shape, generator=self._generator, dtype=dtype, device=device)
                actions = distribution.draw(noise)
        return within(self.action_space, actions.cpu().numpy()), state

    def _batch(self, observations: NDArray[Any]) -> Tensor:
        """Observations [observation] or [env, observation] as the parameters are kept."""
        dtype, device = kind(self.parameters)
        given = as_array(observations)
        if given.dtype.kind not in REAL:
            raise ValueError(f"expected observations of real numbers, got {told(observations)}")
        batch = torch.as_tensor(given, dtype=dtype, device=device)
        if batch.ndim not in (1, 2) or batch.shape[-1] != self.policy.observation_size:
            size = self.policy.observation_size
            raise ValueError(f"expected observations [{size}] or [env, {size}], got {list(batch.shape)}")
        return batch

    def set_random_seed(self, seed: int) -> None:
        """Makes the draws of `predict` repeatable."""
        self._generator.manual_seed(seed)

    def to_sb3(
        self,
        algorithm: str | type[BaseAlgorithm],
        env: gymnasium.Env[Any, Any] | VecEnv,
        **settings: Any,
    ) -> OnPolicyAlgorithm:
        """A stable-baselines3 model that goes on from here: `adapted.to_sb3("PPO", env).learn(10_000)`.

        Its actor is this policy: deterministic actions agree to rounding. Its critic is fresh.

        Args:
            algorithm: "PPO", "A2C", sb3-contrib's "TRPO" where it is installed, or a class.
            env: with the observation and action spaces of training, and the task set.
            settings: keyword arguments of the algorithm, e.g. `n_steps`.

        Raises:
            ValueError: an algorithm, environment or setting that does not fit.
        """
        out = import_module(_STABLE_BASELINES)
        self.check_fits(env, out.ENVIRONMENTS)
        model: OnPolicyAlgorithm = out.to_sb3(algorithm, self.policy, self.parameters, env, **settings)
        return model

    def to_torch(self, *, clipped: bool = False) -> torch.nn.Module:
        """A plain `torch.nn.Module`: observations [..., observation] -> mean actions [..., action].

        A Gaussian MLP, with a context or without, becomes an `nn.Sequential` of `nn.Linear` and activations.
        Any other policy becomes a module that calls it, whose state dict has the names of its parameters.
        Parameters are copied; `torch.jit.trace` and `torch.export.export` take the module.

        Args:
            clipped: end with the clipping to the action space, as `predict` does; of a box whose bounds
                differ between actions, it is a module of metarl's own.

        Raises:
            ValueError: the policy has memory, which a module cannot carry.

        Examples:
            >>> module = metarl.load("goal.safetensors").to_torch()
            >>> torch.save(module.state_dict(), "goal.pt")
        """
        if remembers(self.policy):
            kind = type(self.policy).__name__
            raise ValueError(f"expected a policy without memory, got {kind}: a module has no carry")
        return to_torch(self.policy, self.parameters, self.action_space if clipped else None)

    def to_onnx(self, path: str | Path, *, clipped: bool = False) -> None:
        """Writes `to_torch` as an ONNX file: `observations` [env, observation] -> `actions` [env, action].

        Needs the extra "onnx".

        Args:
            clipped: as of `to_torch`.

        Raises:
            TypeError: no path.
            ValueError: the extra is not installed, or the policy has operations that ONNX does not know.
            RunError: the file cannot be written.
        """
        check_kinds({"path": (str, Path)}, locals())
        write_onnx(self.to_torch(clipped=clipped), self.policy.observation_size, Path(path))

    def check_fits(self, env: gymnasium.Env[Any, Any] | VecEnv, kinds: Mapping[type, str] = _SINGLE) -> None:
        """Checks that an environment has the observation and action sizes and the action box of training.

        Args:
            kinds: what it may be, and what that is called.

        Raises:
            ValueError: it does not, or is no environment.
        """
        if not isinstance(env, tuple(kinds)):
            raise ValueError(f"expected {' or '.join(kinds.values())}, got {type(env).__name__}")
        expected = (self.policy.observation_size, self.policy.action_size)
        got = tuple(int(np.prod(s.shape or ())) for s in (env.observation_space, env.action_space))
        if got != expected:
            raise ValueError(f"expected observation and action sizes {expected}, as in training, got {got}")
        trained, given = self.action_space, env.action_space
        same = isinstance(given, gymnasium.spaces.Box) and all(
            np.array_equal(a.ravel(), b.ravel())
            for a, b in ((trained.low, given.low), (trained.high, given.high))
        )
        if not same:
            raise ValueError(
                f"expected the action space of training, {trained}, got {given}; metarl's environments "
                "take action_scale"
            )
