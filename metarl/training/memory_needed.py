"""How much memory an iteration needs at least, told before anything is made."""

from __future__ import annotations

import os
from itertools import pairwise

from metarl.errors import ConfigError
from metarl.experiment.experiments import ExperimentConfig

_NUMBERS_OF_A_STEP = 9
"""At least: observation, action, its noise, the mean and deviation that drew it, reward, density, ..."""
_BYTES, _GIB = 4, 2**30


def check_memory(config: ExperimentConfig, ranks: int = 1) -> None:
    """Refuses an iteration or evaluation whose episodes and adapted networks exceed the machine's memory.

    Raises:
        ConfigError: one line with the estimate and the sizes that it follows from.
    """
    sampling, training, horizon = config.sampling, config.training, int(config.environment.horizon)
    inner_steps = int(getattr(config.meta_learner, "inner_steps", 0))
    hidden = [int(size) for size in config.policy.settings.get("hidden_sizes", ())]
    weights = sum(one * other for one, other in pairwise([1, *hidden, 1]))
    evaluated = training.evaluation_tasks, training.evaluation_episodes, training.evaluation_steps
    rounds = {
        "sampling": (sampling.tasks, sampling.episodes, inner_steps),
        "training.evaluation": evaluated,
    }
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for where, sizes in rounds.items():
        tasks, episodes, steps = map(int, sizes)
        numbers = tasks * (steps + 1) * (episodes * horizon * _NUMBERS_OF_A_STEP + weights) // ranks
        if numbers * _BYTES > there:
            raise ConfigError(
                f"{where}: expected what fits in {there / _GIB:.0f} GiB of memory, got "
                f"{numbers * _BYTES // _GIB:,} GiB or more, for {tasks} tasks x {episodes} episodes x "
                f"{horizon} steps x {steps + 1} rollouts, and networks of {weights:,} weights for each "
                "task; lower one"
            )
