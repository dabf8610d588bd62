"""Games whose best return is known exactly, as batches of environments; the largest action picks the move."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from metarl_envs.tasks import Tasks
from numpy.typing import NDArray

from metarl.adaptation.meta_batch import collect_meta_batch
from metarl.adaptation.walk import Walk
from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters, repeat
from metarl.meta_learners.learner import MetaLearner
from metarl.policies.policy import Remembering, TaskState
from metarl.rollouts.advantages import AdvantageConfig
from metarl.rollouts.sampler import RolloutSampler

START = (0, 0)
MOVES = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])


class Game(ABC):
    """Environments that all play `horizon` steps; a subclass says what is seen and paid."""

    observation_size: int
    action_size: int

    def __init__(self, num_envs: int, horizon: int) -> None:
        self.num_envs, self.horizon = num_envs, horizon

    def set_tasks(self, tasks: Mapping[str, Any]) -> None:
        self.tasks = dict(tasks)

    def reset(self, *, seed: Sequence[int]) -> tuple[NDArray[Any], dict[str, Any]]:
        self.elapsed = 0
        self.noise = np.stack([np.random.default_rng(one).random(self.horizon) for one in seed])
        return self.begin(), {}

    def step(self, actions: NDArray[Any]) -> Any:
        observations, rewards = self.play(self.chosen(actions))
        self.elapsed += 1
        over = np.full(self.num_envs, self.elapsed == self.horizon)
        return observations, rewards, np.zeros_like(over), over, {}

    def close(self) -> None:
        self.tasks = {}

    def chosen(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Moves [env] of actions [env, action]."""
        return np.asarray(actions.argmax(-1))

    @abstractmethod
    def begin(self) -> NDArray[Any]:
        """First observations [env, observation]."""

    @abstractmethod
    def play(self, moves: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Observations [env, observation] after moves [env], and rewards [env]."""


class Bandit(Game):
    """Two arms that pay 1 by chances that are uniform on [0, 1]: the task; nothing is seen."""

    observation_size, action_size = 1, 2

    @staticmethod
    def draw(n: int, rng: np.random.Generator) -> Tasks:
        return {"chances": rng.random((n, 2))}

    def begin(self) -> NDArray[Any]:
        return np.zeros((self.num_envs, 1))

    def play(self, moves: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        chances = self.tasks["chances"][np.arange(self.num_envs), moves]
        return self.begin(), (self.noise[:, self.elapsed] < chances).astype(np.float64)


class Grid(Game):
    """A 3 x 3 grid from a corner: 1 a step on the task's cell, else -0.1; the own cell is seen."""

    observation_size, action_size = 9, 5

    @staticmethod
    def draw(n: int, rng: np.random.Generator) -> Tasks:
        return {"goal": np.array(goals(3))[rng.integers(len(goals(3)), size=n)]}

    def begin(self) -> NDArray[Any]:
        self.cells = np.tile(START, (self.num_envs, 1))
        return self._seen()

    def play(self, moves: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        self.cells = np.clip(self.cells + MOVES[moves], 0, 2)
        there = (self.cells == self.tasks["goal"]).all(-1)
        return self._seen(), np.where(there, 1.0, -0.1)

    def _seen(self) -> NDArray[Any]:
        return np.eye(9)[self.cells @ [3, 1]]


def goals(size: int) -> list[tuple[int, int]]:
    """Cells outside the 2 x 2 corner of the start."""
    return [(x, y) for x in range(size) for y in range(size) if x > 1 or y > 1]


@cache
def best_bandit(pulls: int, wins: tuple[int, ...], losses: tuple[int, ...]) -> float:
    """The Bayes-optimal expected number of wins in so many pulls, from uniform priors and what was seen."""
    if not pulls:
        return 0.0
    values = []
    for arm, (won, lost) in enumerate(zip(wins, losses, strict=True)):
        chance = (won + 1) / (won + lost + 2)
        more = tuple(n + (i == arm) for i, n in enumerate(wins))
        fewer = tuple(n + (i == arm) for i, n in enumerate(losses))
        after = chance * (1 + best_bandit(pulls - 1, more, losses))
        values.append(after + (1 - chance) * best_bandit(pulls - 1, wins, fewer))
    return max(values)


def best_search(size: int, horizon: int) -> float:
    """The Bayes-optimal expected return of an episode before which nothing is known."""
    last = size - 1

    @cache
    def value(cell: tuple[int, int], left: frozenset[tuple[int, int]], steps: int) -> float:
        if not steps:
            return 0.0
        found = []
        for dx, dy in MOVES.tolist():
            there = min(max(cell[0] + dx, 0), last), min(max(cell[1] + dy, 0), last)
            rest = left - {there}
            chance = (len(left) - len(rest)) / len(left)
            missed = (1 - chance) * (-0.1 + value(there, rest, steps - 1)) if rest else 0.0
            found.append(chance * steps + missed)
        return max(found)

    return value(START, frozenset(goals(size)), horizon)


def best_return_to(size: int, horizon: int) -> float:
    """The best return of an episode whose goal is known, mean over goals."""
    found = [-0.1 * (x + y - 1) + horizon - (x + y - 1) for x, y in goals(size)]
    return sum(found) / len(found)


@dataclass(frozen=True)
class Setting:
    """A game with so many tasks, and a trial's episodes."""

    game: Callable[..., Game]
    draw: Callable[[int, np.random.Generator], Tasks]
    episodes: int
    horizon: int
    tasks: int = 128

    def sampler(self, policy: Remembering, tasks: int) -> RolloutSampler:
        shape = {"episodes_per_task": self.episodes, "horizon": self.horizon, "device": torch.device("cpu")}
        return RolloutSampler(self.game(tasks, self.horizon), policy, **shape)

    def trained(self, learner: MetaLearner, iterations: int, seed: int = 0) -> Parameters:
        """The parameters after so many iterations."""
        state = learner.initial_state(torch.Generator().manual_seed(seed))
        walk = Walk(self.sampler(learner.policy, self.tasks), learner, AdvantageConfig(), TaskMap(None, 1))
        for number in range(iterations):
            tasks = self.draw(self.tasks, np.random.default_rng((seed, number)))
            batch = collect_meta_batch(walk, state.parameters, tasks, (seed, number)).batch
            state = learner.update(state, batch).state
        return state.parameters

    def returns(self, policy: Remembering, parameters: Parameters, tasks: int = 2000) -> NDArray[Any]:
        """Mean return of every episode of new trials by mean actions, [episode]."""
        state, drawn = TaskState(repeat(parameters, tasks)), self.draw(tasks, np.random.default_rng(99))
        rollout = self.sampler(policy, tasks).collect(state, drawn, (99,), deterministic=True)
        return rollout.returns.mean(0).double().numpy()


BANDIT = Setting(Bandit, Bandit.draw, episodes=1, horizon=10)
GRID = Setting(Grid, Grid.draw, episodes=3, horizon=6)
