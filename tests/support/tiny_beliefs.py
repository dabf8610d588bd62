"""A tiny float64 problem for proofs about VariBAD: a policy with a belief, and ragged trials."""

import torch

from metarl.compute.task_map import TaskMap
from metarl.math.gaussian import DiagonalGaussian
from metarl.meta_learners.varibad import VaribadConfig, varibad
from metarl.policies.belief import BeliefPolicy
from metarl.policies.policy import Transition
from metarl.rollouts.rollout import SEED, Batch

POLICY = BeliefPolicy(3, 2, hidden_size=5, latent_size=2, head_sizes=(4,))
CONFIG = VaribadConfig(
    epochs=2,
    minibatches=2,
    value_sizes=(4,),
    decoder_sizes=(6, 4),
    prefixes=0,
    decodes=0,
    belief_trials=0,
    decodes_states=True,
    learning_rate=1e-2,
)
LENGTHS = torch.tensor([[4, 2], [1, 3], [4, 4]])
TASKS, EPISODES, HORIZON = 3, 2, 4


def learner(config=CONFIG):
    return varibad(POLICY, config, TaskMap())


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value.double() + 0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in learner().initial_parameters(generator).items()
    }


def acted(theta, padding=0.0):
    """A batch of ragged episodes, step by step as a sampler asks a policy, and the carry at the end."""
    generator = torch.Generator().manual_seed(1)
    shape = (TASKS, EPISODES, HORIZON)
    seen = torch.randn(TASKS, EPISODES, HORIZON + 1, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(*shape, 2, generator=generator, dtype=torch.float64)
    rewards = torch.randn(shape, generator=generator, dtype=torch.float64)
    valid = torch.arange(HORIZON) < LENGTHS.unsqueeze(-1)
    carry, means, actions = POLICY.begin_trial(theta, TASKS, 1), torch.zeros_like(noise), noise.clone()
    for e in range(EPISODES):
        for t in range(HORIZON):
            now, after = seen[:, e : e + 1, t], seen[:, e : e + 1, t + 1]
            distribution, _ = POLICY.act(theta, carry, now)
            action = distribution.draw(noise[:, e : e + 1, t])
            means[:, e, t], actions[:, e, t] = distribution.mean[:, 0], action[:, 0]
            over = (LENGTHS[:, e : e + 1] - 1) == t
            step = Transition(now, action, rewards[:, e : e + 1, t], after, over, over)
            active = valid[:, e : e + 1, t, None]
            known = POLICY.observe(theta, carry, step)
            carry = {name: torch.where(active, value, carry[name]) for name, value in known.items()}
    behaviour = DiagonalGaussian(means, theta["log_std"].expand_as(means))
    final = torch.stack([seen[i, torch.arange(EPISODES), LENGTHS[i]] for i in range(TASKS)])
    kept = [torch.where(valid.unsqueeze(-1), x, padding) for x in (seen[:, :, :HORIZON], actions)]
    paid, log_prob = (torch.where(valid, x, padding) for x in (rewards, behaviour.log_prob(actions)))
    nothing, ends = torch.zeros(TASKS, EPISODES), torch.ones(TASKS, EPISODES, dtype=torch.bool)
    extras = {SEED: torch.arange(TASKS) + 17}
    return Batch(*kept, paid, nothing, valid, ends, final, behaviour, log_prob, extras), carry


def mlp(theta, name, x):
    for layer in range(2):
        x = torch.tanh(theta[f"{name}.{layer}.weight"] @ x + theta[f"{name}.{layer}.bias"])
    return theta[f"{name}.output.weight"] @ x + theta[f"{name}.output.bias"]
