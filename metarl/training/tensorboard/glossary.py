"""What every tag means, and what a sick value looks like: the text behind a chart's "i"."""

from __future__ import annotations

import re

from metarl.training.tensorboard.groups import (
    ADAPTATION,
    CARD,
    FAULT,
    INTERVALS,
    RESOURCES,
    SETTINGS,
    TRAINING,
    Entry,
)
from metarl.training.tensorboard.health import HEALTH_ENTRIES

_ABOUT_EVALUATION = "on evaluation tasks, on episodes that those steps did not use"
ENTRIES = {
    f"{ADAPTATION}/return_after_K_steps": Entry(
        f"Mean return after K inner steps, {_ABOUT_EVALUATION}. Few points: set smoothing to 0.",
        "no higher than after fewer steps: adaptation does not help, or its steps overshoot.",
    ),
    f"{ADAPTATION}/return_after_K_episodes": Entry(
        "Of a policy with memory: mean return on evaluation tasks of the next episode after K ones. Few "
        "points: set smoothing to 0.",
        "no higher than after fewer episodes: what it remembers does not help.",
    ),
    f"{ADAPTATION}/return_before": Entry(
        "Mean return on evaluation tasks before adaptation; of a policy with memory, of first episodes.",
        "as high as after: one policy does for all tasks.",
    ),
    f"{ADAPTATION}/return_after": Entry(
        "Mean return on evaluation tasks after all inner steps of an evaluation; of a policy with memory, "
        "after its last episode.",
        "flat, or no higher than return_before.",
    ),
    f"{ADAPTATION}/gain": Entry(
        "Return after the last inner step less that before the first, mean over evaluation tasks.",
        "about 0 while the return rises: one policy for all tasks is learned, not adaptation; below 0: inner "
        "steps are too large.",
    ),
    f"{ADAPTATION}/share_of_tasks_made_worse": Entry(
        "Share of evaluation tasks whose episodes are worse after adaptation by more than noise (sign test "
        "of their episodes, Holm's correction); left out where episodes are too few to tell.",
        "above 0: look at which ones in the figure return_by_task.",
    ),
    f"{ADAPTATION}/steps_per_episode_before": Entry(
        "Mean steps of an evaluation task's episode before adaptation.",
        "shrinking over training, where an episode ends by falling.",
    ),
    f"{ADAPTATION}/steps_per_episode_after": Entry(
        "Mean steps of an evaluation task's episode after the last inner step.",
        "shorter than before where an episode ends by falling.",
    ),
    f"{ADAPTATION}/success_before": Entry(
        "Share of evaluation tasks' episodes with success before adaptation.",
        "about 1: the tasks need no adaptation.",
    ),
    f"{ADAPTATION}/success_after": Entry(
        "Share of evaluation tasks' episodes with success after the last inner step.",
        "no higher than before.",
    ),
    f"{ADAPTATION}/return_over_training": Entry(
        "Return over environment steps, a line per number of inner steps or episodes, with 95 % intervals.",
        "lines that do not come apart: nothing is adapted; lines that cross: steps overshoot.",
    ),
    f"{ADAPTATION}/adaptation_curve": Entry(
        "Return by number of inner steps or episodes: a thin line for each task, the mean with its interval.",
        "a mean that falls after the first step.",
    ),
    f"{ADAPTATION}/gains": Entry(
        "Evaluation tasks by what adaptation gains them; grey where that cannot be told from noise.",
        "a red part.",
    ),
    f"{ADAPTATION}/return_by_task": Entry(
        "Return before and after adaptation against what the task asks for.",
        "a range of tasks that adaptation leaves where they were.",
    ),
    f"{ADAPTATION}/trajectories": Entry(
        "Ways of a few tasks' bodies before and after adaptation, with their goals.",
        "ways after adaptation that lead elsewhere.",
    ),
    f"{ADAPTATION}/speed": Entry(
        "What a few tasks ask for (dashed) and what bodies do, before and after adaptation.",
        "lines that stay away from the dashed one of their colour.",
    ),
    f"{ADAPTATION}/belief_spread": Entry(
        "Standard deviation of beliefs about evaluation tasks after every step of a trial: the median trial, "
        "and the middle 80 %.",
        "flat: nothing is found out, or the KL term is too heavy.",
    ),
    f"{ADAPTATION}/belief_map": Entry(
        "Mean beliefs at the end of evaluation tasks' trials, on their first two principal components, "
        "coloured by what tasks ask for.",
        "colours that are mixed: beliefs do not tell tasks apart.",
    ),
    f"{ADAPTATION}/decoded_rewards": Entry(
        "Rewards of evaluation tasks as beliefs before and after a trial decode them, against those that "
        "were paid, and means by tenths of what is decoded.",
        "dots away from the diagonal at the end of a trial: the decoder has not learned. Means away from it: "
        "it is not calibrated.",
    ),
    f"{ADAPTATION}/frames": Entry(
        "An episode of one task before (above) and after (below) adaptation.",
        "below no nearer to what the task asks for than above.",
    ),
    f"{ADAPTATION}/film": Entry(
        "An episode of one task before (left) and after (right) adaptation.",
        "right no nearer to what the task asks for than left.",
    ),
    f"{TRAINING}/return_before": Entry(
        "Mean return of the iteration's tasks before the first inner step; of trials' first episodes.",
        "falling while return_after rises is no fault: the policy prepares for adaptation.",
    ),
    f"{TRAINING}/return_after": Entry(
        "Mean return of the iteration's tasks after the last inner step; of trials' last episodes.",
        "flat, or below return_before.",
    ),
    f"{TRAINING}/gain": Entry("return_after less return_before.", "about or below 0."),
    f"{TRAINING}/steps_per_episode": Entry(
        "Mean steps of an episode after the last inner step.", "shrinking, where episodes end by falling."
    ),
    f"{TRAINING}/success_before": Entry(
        "Share of episodes with success before the first inner step.",
        "about 1: the tasks need no adaptation.",
    ),
    f"{TRAINING}/success_after": Entry(
        "Share of episodes with success after the last inner step.", "flat at 0."
    ),
    **HEALTH_ENTRIES,
    f"{INTERVALS}/return_after_K_steps_low": Entry(
        "Lower end of the 95 % interval of the return after K steps.",
        "far below the mean: few tasks, or tasks that fare very differently.",
    ),
    f"{INTERVALS}/return_after_K_steps_high": Entry(
        "Upper end of the 95 % interval of the return after K steps.",
        "below the low end of fewer steps: the last steps do harm.",
    ),
    f"{INTERVALS}/return_after_K_episodes_low": Entry(
        "Lower end of the 95 % interval of the return after K episodes.",
        "far below the mean: few tasks, or tasks that fare very differently.",
    ),
    f"{INTERVALS}/return_after_K_episodes_high": Entry(
        "Upper end of the 95 % interval of the return after K episodes.",
        "below the low end of fewer episodes: what it remembers does harm.",
    ),
    f"{INTERVALS}/gain_low": Entry("Lower end of the gain's 95 % bootstrap interval over tasks.", "below 0."),
    f"{INTERVALS}/gain_high": Entry(
        "Upper end of the gain's 95 % bootstrap interval over tasks.", "below 0: adaptation does harm."
    ),
    f"{RESOURCES}/sampling_seconds": Entry(
        "Seconds of an iteration that went into episodes.",
        "most of the iteration at few steps per second: too few threads, or a busy machine.",
    ),
    f"{RESOURCES}/advantages_seconds": Entry(
        "Seconds that went into baselines and advantages.", "more than sampling_seconds: a busy machine."
    ),
    f"{RESOURCES}/adaptation_seconds": Entry(
        "Seconds that went into inner steps between rollouts.",
        "more than sampling_seconds: a smaller network, or a GPU.",
    ),
    f"{RESOURCES}/update_seconds": Entry(
        "Seconds that went into the outer step.",
        "most of the iteration: first_order, fewer epochs or cg_iterations, or a GPU.",
    ),
    f"{RESOURCES}/iteration_seconds": Entry("Seconds of the whole iteration.", "growing over a run."),
    f"{RESOURCES}/environment_steps_per_second": Entry(
        "Environment steps by the seconds of sampling.",
        "falling over a run: other work on the machine, or ever shorter episodes.",
    ),
    f"{RESOURCES}/memory_gib": Entry("Memory of the process, GiB.", "growing over a run."),
    f"{RESOURCES}/gpu_memory_gib": Entry(
        "Largest memory that tensors took on the GPU, GiB.", "near the GPU's."
    ),
    CARD: Entry(
        "What the run is, how to go on with it, and how to read the charts.",
        "settings or versions that you did not mean.",
    ),
    SETTINGS: Entry("The resolved config.", "a value that you did not mean."),
    FAULT: Entry(
        "What could not be measured or drawn, and why.",
        "any text: that evaluation, or that picture, is not there.",
    ),
}
"""By tag; K stands for a number, LEARNED for a name."""
_PATTERNS = (
    (re.compile(r"return_after_\d+_(step|episode)s?"), r"return_after_K_\1s"),
    (re.compile(r"(kl_penalty|sampling_kl)_\d+"), r"\1_K"),
    (re.compile(r"(mean|rms)_of_.+"), r"\1_of_LEARNED"),
)
_OF_ITS_OWN = Entry("A diagnostic of the meta-learner's own.", "see where it is defined.")


def entry_of(tag: str) -> Entry | None:
    """The entry of a tag; None of one that a user's own meta-learner tells."""
    for pattern, name in _PATTERNS:
        tag = pattern.sub(name, tag)
    return ENTRIES.get(tag)


def describe(tag: str) -> str:
    """What TensorBoard says of a tag, in Markdown."""
    return (entry_of(tag) or _OF_ITS_OWN).text
