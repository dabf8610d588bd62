"""Point navigation to one goal that keeps the controls of every step: metarl/Diary-v0."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import gymnasium
import metarl_envs
from metarl_envs import Family, State, TaskSpace, Uniform
from metarl_envs.families.point import point_navigation
from metarl_envs.family import RewardTerms
from metarl_envs.task_parameters import Array
from metarl_envs.tasks import Tasks

CONTROLS: defaultdict[int, list[Array]] = defaultdict(list)
"""Number of environments of a batch -> the controls of its steps, [env, control] each."""


def diary() -> Family:
    """All tasks are one."""
    own = point_navigation()
    shown: RewardTerms = own.reward_terms

    def reward_terms(before: State, after: State, control: Array, tasks: Tasks) -> dict[str, Array]:
        CONTROLS[len(control)].append(control.copy())
        return shown(before, after, control, tasks)

    here = TaskSpace({"goal": Uniform((0.3, 0.3), (0.3, 0.3), default=(0.3, 0.3))})
    return replace(own, task_space=here, reward_terms=reward_terms)


def register() -> None:
    """As metarl/Diary-v0, until `unregister`: tests of all families are not of this one."""
    metarl_envs.register_family("Diary", diary, horizon=100)


def unregister() -> None:
    del metarl_envs.FAMILIES["Diary"]
    del gymnasium.registry["metarl/Diary-v0"]
