"""What random keys are made of: [seed, iteration, purpose, ...]; all randomness follows from them."""

from __future__ import annotations

TASKS, ROLLOUTS, HELD_OUT_TASKS, EVALUATION, SCRATCH_LEARNING, TASK_LIST, FIRST_STEP = 1, 2, 3, 4, 5, 6, 7
"""What a random key is for: [seed, iteration, purpose, ...]."""

STARTS, ACTIONS, BEGINNINGS, LEARNING = 0, 1, 2, 3
"""What a task's key is for: [*key, task, purpose]; start states, action noise, what begins episodes, and what
a learner draws."""
