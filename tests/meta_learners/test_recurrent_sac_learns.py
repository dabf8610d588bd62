"""Recurrent SAC nears the best return of a game of noisy looks, over resets; without them it cannot."""

from dataclasses import dataclass

import pytest
import torch

from metarl.compute.task_map import TaskMap
from metarl.meta_learners.recurrent_sac import RecurrentSacConfig, recurrent_sac
from metarl.policies.squashed_gru import SquashedGruPolicy
from tests.support.estimation import BEST, FORGETFUL, LOOKS

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = RecurrentSacConfig(
    learning_rate=3e-3,
    discount=0.0,
    initial_temperature=0.1,
    learns_temperature=False,
    target_rate=0.05,
    critic_sizes=(32,),
    critic_hidden_size=32,
    replay_ratio=0.1,
    meta_batch=64,
)


@dataclass(frozen=True)
class Forgetful(SquashedGruPolicy):
    """Begins every episode with nothing."""

    def begin_episode(self, parameters, carry, noise):
        return {name: torch.zeros_like(value) for name, value in carry.items()}


def remembering(kind):
    return kind(1, 1, hidden_size=32, hidden_sizes=(32,), reads_rewards=False, action_bound=3.0)


def test_an_estimate_sharpens_over_both_episodes():
    """-2.21 to -2.08: the seeds 0 to 9. The best is -2.02, and -2.90 of what forgets, as the same parameters
    do where every episode begins with nothing.
    """
    policy = remembering(SquashedGruPolicy)
    parameters = LOOKS.trained(recurrent_sac(policy, CONFIG, TaskMap()), 25)
    assert BEST - 0.3 < LOOKS.returns(policy, parameters).sum() < BEST + 0.1
    assert LOOKS.returns(remembering(Forgetful), parameters).sum() < FORGETFUL + 0.1
