"""`gymnasium.make_vec` environments in others' code: a loop as CleanRL has it, and Gymnasium's wrappers."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import (
    ClipAction,
    NormalizeReward,
    RecordEpisodeStatistics,
)
from torch import nn
from torch.distributions import Normal

ENV_ID, NUM_ENVS, HORIZON = "metarl/PointNavigation-v0", 32, 20
GAMMA, GAE_LAMBDA, CLIP, EPOCHS, MINIBATCHES, ITERATIONS = 0.9, 0.95, 0.2, 6, 4, 25
MODES = pytest.mark.parametrize("autoreset_mode", ["SameStep", "Disabled"])


def make(autoreset_mode, num_envs=NUM_ENVS, **options):
    options = {"max_episode_steps": HORIZON, "autoreset_mode": autoreset_mode, **options}
    return gym.make_vec(ENV_ID, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def mlp(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, outputs)
    )


def ppo(envs, seed=0):
    """CleanRL's ppo_continuous_action.py, shortened: the mean return of every iteration's episodes."""
    torch.manual_seed(seed)
    size, actions_size = envs.single_observation_space.shape[0], envs.single_action_space.shape[0]
    actor, critic, log_std = mlp(size, actions_size), mlp(size, 1), nn.Parameter(torch.zeros(actions_size))
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters(), log_std], lr=3e-3, eps=1e-5)
    obs, actions = torch.zeros(HORIZON, NUM_ENVS, size), torch.zeros(HORIZON, NUM_ENVS, actions_size)
    log_probs, rewards, dones, values = torch.zeros(4, HORIZON, NUM_ENVS)
    next_obs, next_done, history = torch.Tensor(envs.reset(seed=seed)[0]), torch.zeros(NUM_ENVS), []
    for _ in range(ITERATIONS):
        returned = []
        for t in range(HORIZON):
            obs[t], dones[t] = next_obs, next_done
            with torch.no_grad():
                policy = Normal(actor(next_obs), log_std.exp())
                actions[t] = policy.sample()
                log_probs[t], values[t] = policy.log_prob(actions[t]).sum(-1), critic(next_obs).squeeze(-1)
            found, reward, terminations, truncations, infos = envs.step(actions[t].numpy())
            done = np.logical_or(terminations, truncations)
            if "episode" in infos:
                returned.extend(infos["episode"]["r"][infos["_episode"]])
            if done.any() and envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
                found, _ = envs.reset(options={"reset_mask": done})
            rewards[t], next_obs, next_done = map(torch.Tensor, (reward, found, done))
        history.append(np.mean(returned))
        with torch.no_grad():
            advantages, last, next_value = torch.zeros(HORIZON, NUM_ENVS), 0, critic(next_obs).squeeze(-1)
            for t in reversed(range(HORIZON)):
                going_on = 1 - (next_done if t == HORIZON - 1 else dones[t + 1])
                delta = rewards[t] + GAMMA * next_value * going_on - values[t]
                advantages[t] = last = delta + GAMMA * GAE_LAMBDA * going_on * last
                next_value = values[t]
        data = [x.flatten(0, 1) for x in (obs, actions, log_probs, advantages, advantages + values)]
        for _ in range(EPOCHS):
            for chosen in torch.randperm(HORIZON * NUM_ENVS).chunk(MINIBATCHES):
                b_obs, b_actions, b_log_probs, b_advantages, b_returns = (x[chosen] for x in data)
                policy = Normal(actor(b_obs), log_std.exp())
                ratio = (policy.log_prob(b_actions).sum(-1) - b_log_probs).exp()
                scaled = (b_advantages - b_advantages.mean()) / (b_advantages.std() + 1e-8)
                policy_loss = -torch.min(ratio * scaled, ratio.clamp(1 - CLIP, 1 + CLIP) * scaled).mean()
                loss = policy_loss + 0.5 * (critic(b_obs).squeeze(-1) - b_returns).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return history


@MODES
def test_a_cleanrl_loop_learns(autoreset_mode):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        envs = RecordEpisodeStatistics(ClipAction(make(autoreset_mode)))
        history = ppo(NormalizeReward(envs, GAMMA))
    finally:
        torch.set_num_threads(threads)
    assert history[0] < -6
    assert np.mean(history[-3:]) > -2.5
    assert envs.episode_count == ITERATIONS * NUM_ENVS


@MODES
@pytest.mark.parametrize("max_episode_steps", [5, 1])
def test_gymnasiums_wrappers_see_every_episode(autoreset_mode, max_episode_steps):
    """Returns, lengths, clipped actions and last observations, told from an environment of its own."""
    options = {"num_envs": 3, "preset": "maml", "max_episode_steps": max_episode_steps}
    goals = [{"goal": goal} for goal in ([0.0, 0.2], [0.5, -0.5], [0.1, -0.1])]
    envs = RecordEpisodeStatistics(ClipAction(make(autoreset_mode, **options)))
    singles = [gym.make(ENV_ID, preset="maml", max_episode_steps=max_episode_steps) for _ in goals]
    envs.reset(seed=0, options={"tasks": goals})
    for single, goal in zip(singles, goals, strict=True):
        single.reset(seed=0, options={"task": goal})
    returns, lengths, ends = np.zeros(3), np.zeros(3, int), 0
    for _ in range(12):
        actions = np.array([[0.0, 5.0], [1.0, -1.0], [np.pi, -0.5]], np.float32)
        observation, _, terminated, truncated, infos = envs.step(actions)
        done = terminated | truncated
        for i, single in enumerate(singles):
            last, reward, *flags, _ = single.step(np.clip(actions[i], -1, 1))
            returns[i], lengths[i] = returns[i] + reward, lengths[i] + 1
            assert flags == [terminated[i], truncated[i]]
            if not any(flags):
                continue
            ends += 1
            told = infos["final_obs"][i] if autoreset_mode == "SameStep" else observation[i]
            np.testing.assert_array_equal(told, last, strict=True)
            assert infos["episode"]["r"][i] == pytest.approx(returns[i])
            assert infos["episode"]["l"][i] == lengths[i]
            returns[i], lengths[i] = 0, 0
            single.reset()
        if done.any() and autoreset_mode == "Disabled":
            observation, _ = envs.reset(options={"reset_mask": done})
        assert (observation[done] == 0).all()
    assert envs.episode_count == ends > 6
    assert set(envs.length_queue) == ({2, 5} if max_episode_steps == 5 else {1})
