"""What every tag means, and what a sick value looks like: the text behind a chart's "i"."""

from __future__ import annotations

import re
from typing import NamedTuple

ADAPTATION, TRAINING, HEALTH, INTERVALS, RESOURCES = (
    "adaptation",
    "adaptation_in_training",
    "health",
    "intervals_95",
    "resources",
)
CARD, SETTINGS, FAULT = "about/card", "about/config", "about/missing"
REJECTION = f"{HEALTH}/update/rejection"
GROUPS = {
    ADAPTATION: "Held-out tasks, at the start, at the end and at every evaluation: the answer.",
    TRAINING: "The tasks that an iteration trains on, before and after its inner steps.",
    HEALTH: "Inner steps, outer step, exploration, baseline: why it does not learn, when it does not.",
    INTERVALS: "Ends of the 95 % intervals that the page Custom Scalars draws as bands.",
    RESOURCES: "Seconds of every phase, and memory.",
}
"""What the groups of charts are."""


class Entry(NamedTuple):
    """What a tag tells, and what to be alarmed by."""

    meaning: str
    sick: str = ""

    @property
    def text(self) -> str:
        """Both, in Markdown."""
        return f"{self.meaning} **Sick:** {self.sick}" if self.sick else self.meaning


_ABOUT_EVALUATION = "on held-out tasks, on episodes that those steps did not use"
ENTRIES = {
    f"{ADAPTATION}/return_after_K_steps": Entry(
        f"Mean return after K inner steps, {_ABOUT_EVALUATION}. Few points: set smoothing to 0. "
        "Of a policy with memory: of the next episode after K times evaluation_episodes ones.",
        "no higher than after fewer steps: adaptation does not help, or its steps overshoot.",
    ),
    f"{ADAPTATION}/gain": Entry(
        "Return after the last inner step less that before the first, mean over held-out tasks.",
        "about 0 while the return rises: one policy for all tasks is learned, not adaptation; below 0: inner "
        "steps are too large.",
    ),
    f"{ADAPTATION}/share_of_tasks_made_worse": Entry(
        "Share of held-out tasks whose episodes are worse after adaptation by more than noise (sign test of "
        "their episodes, Holm's correction).",
        "above 0: look at which ones in the figure return_by_task.",
    ),
    f"{ADAPTATION}/steps_per_episode_before": Entry(
        "Mean steps of a held-out task's episode before adaptation."
    ),
    f"{ADAPTATION}/steps_per_episode_after": Entry(
        "Mean steps of a held-out task's episode after the last inner step.",
        "shorter than before where an episode ends by falling.",
    ),
    f"{ADAPTATION}/success_before": Entry(
        "Share of held-out tasks' episodes with success before adaptation."
    ),
    f"{ADAPTATION}/success_after": Entry(
        "Share of held-out tasks' episodes with success after the last inner step.", "no higher than before."
    ),
    f"{ADAPTATION}/held_out_return": Entry(
        "Held-out return over environment steps, a line a number of inner steps, with 95 % intervals.",
        "lines that do not come apart: nothing is adapted; lines that cross: steps overshoot.",
    ),
    f"{ADAPTATION}/adaptation_curve": Entry(
        "Return by number of inner steps: a thin line a held-out task, the mean with its 95 % interval.",
        "a mean that falls after the first step.",
    ),
    f"{ADAPTATION}/gains": Entry("Held-out tasks by what adaptation gains them.", "a red part."),
    f"{ADAPTATION}/return_by_task": Entry(
        "Return before and after adaptation against what the task asks for.",
        "a range of tasks that adaptation leaves where they were.",
    ),
    f"{ADAPTATION}/trajectories": Entry(
        "Ways of a few held-out tasks' bodies before and after adaptation, with their goals.",
        "ways after adaptation that lead elsewhere.",
    ),
    f"{ADAPTATION}/speed": Entry(
        "What a few held-out tasks ask for (dashed) and what bodies do, before and after adaptation.",
        "lines that stay away from the dashed one of their colour.",
    ),
    f"{ADAPTATION}/belief_spread": Entry(
        "Standard deviation of beliefs about held-out tasks after every step of a trial: the median trial, "
        "and the middle 80 %.",
        "flat: nothing is found out, or the KL term is too heavy.",
    ),
    f"{ADAPTATION}/belief_map": Entry(
        "Mean beliefs at the end of held-out tasks' trials, on their first two principal components, "
        "coloured by what tasks ask for.",
        "colours that are mixed: beliefs do not tell tasks apart.",
    ),
    f"{ADAPTATION}/decoded_rewards": Entry(
        "Rewards of held-out tasks as beliefs before and after a trial decode them, against those that were "
        "paid.",
        "dots away from the diagonal at the end of a trial: the decoder has not learned.",
    ),
    f"{ADAPTATION}/frames": Entry(
        "An episode of one held-out task before (above) and after (below) adaptation."
    ),
    f"{ADAPTATION}/film": Entry(
        "An episode of one held-out task before (left) and after (right) adaptation."
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
    f"{TRAINING}/success_before": Entry("Share of episodes with success before the first inner step."),
    f"{TRAINING}/success_after": Entry(
        "Share of episodes with success after the last inner step.", "flat at 0."
    ),
    f"{HEALTH}/diverged_episodes": Entry(
        "Episodes that the simulator had to end.", "above 0 again and again: actions are too large."
    ),
    f"{HEALTH}/inner/kl": Entry(
        "How far an inner step moves a policy: mean KL from before to after, in nats.",
        "above about 1: the episodes after the step have little to do with those it learned from; below "
        "0.0001: the step changes nothing.",
    ),
    f"{HEALTH}/inner/step_norm": Entry(
        "Length of an inner step in the parameters, mean over tasks.", "0, or growing without end."
    ),
    f"{HEALTH}/inner/gradient_norm": Entry(
        "Length of the inner gradient, mean over tasks: the step's length by its size.",
        "0: the reward is the same everywhere and tells nothing; growing without end: the std shrinks.",
    ),
    f"{HEALTH}/inner/task_cosine": Entry(
        "Mean cosine between two tasks' inner steps.",
        "about 1: all tasks ask for the same, there is nothing to adapt to; about 0 is noise or tasks that "
        "differ.",
    ),
    f"{HEALTH}/inner/support_query_cosine": Entry(
        "Cosine between the first inner step and the one that the adapted policy's episodes ask for, of 2 "
        "tasks.",
        "below 0: the step overshoots, try a smaller inner_step_size; about 0: gradients are noise, take "
        "more episodes.",
    ),
    f"{HEALTH}/update/surrogate_before": Entry(
        "The outer objective before the update; 0 but for rounding where advantages are normalised."
    ),
    f"{HEALTH}/update/surrogate_after": Entry(
        "The outer objective after the update, on the same episodes.", "not above surrogate_before."
    ),
    f"{HEALTH}/update/surrogate_last_epoch": Entry("The clipped objective before the last Adam step."),
    f"{HEALTH}/update/meta_gradient_norm": Entry(
        "Length of the outer gradient.", "0, or a spike by a factor of 100: an update to distrust."
    ),
    f"{HEALTH}/update/task_cosine": Entry(
        "Mean cosine between two tasks' outer gradients: whether one update serves all.",
        "about 0 for long: gradients are noise, take more episodes or tasks; below 0: tasks conflict.",
    ),
    f"{HEALTH}/update/kl": Entry(
        "How far the outer step moved the adapted policies: mean KL in nats.",
        "0: nothing moves; of clipped steps, far above 0.01: too many epochs or too high a rate.",
    ),
    f"{HEALTH}/update/cg_residual": Entry(
        "What conjugate gradients left unsolved, relative to the gradient.",
        "above 0.1: more cg_iterations, or more cg_damping.",
    ),
    f"{HEALTH}/update/cg_iterations": Entry("Conjugate gradients' iterations."),
    f"{HEALTH}/update/backtracks": Entry(
        "How often the line search shortened the step.",
        "many in most iterations: the trust region is no model.",
    ),
    f"{HEALTH}/update/step_norm": Entry("Length of the outer step in the parameters.", "0."),
    f"{HEALTH}/update/accepted": Entry(
        "1 where the outer step was taken, 0 where it was rejected.", "often 0."
    ),
    REJECTION: Entry("Why an outer step was rejected.", "any, often: see the page Text."),
    f"{HEALTH}/update/learning_rate": Entry("Adam's learning rate."),
    f"{HEALTH}/update/displacement_norm": Entry(
        "Length of the mean way from the meta-parameters to adapted ones."
    ),
    f"{HEALTH}/update/solution_cg_residual": Entry(
        "What conjugate gradients left of an implicit gradient, of the worst task.", "above 0.1."
    ),
    f"{HEALTH}/update/value_explained": Entry(
        "Share of the trials' returns that the learned value explains, before the update.",
        "below 0 for long.",
    ),
    f"{HEALTH}/update/value_loss": Entry(
        "The value's Huber loss, of the last minibatch.", "growing without end."
    ),
    f"{HEALTH}/update/surrogate_last_minibatch": Entry("The clipped objective of the last minibatch."),
    f"{HEALTH}/update/last_gradient_norm": Entry(
        "Length of the last gradient, before it is cut.", "thousands: a smaller learning_rate."
    ),
    f"{HEALTH}/update/reconstruction": Entry(
        "Squared errors of what beliefs decode, summed over prefixes and steps, mean over trials.",
        "flat from the start.",
    ),
    f"{HEALTH}/update/belief_kl": Entry(
        "KL of every belief to the one before, summed over a trial, mean over trials, nats.",
        "0: beliefs say nothing.",
    ),
    f"{HEALTH}/update/prior_std": Entry("Standard deviation of the belief before anything is seen.", "0."),
    f"{HEALTH}/update/belief_std": Entry(
        "Standard deviation of beliefs after steps, mean over them.", "not below prior_std."
    ),
    f"{HEALTH}/update/final_belief_std": Entry(
        "Standard deviation of beliefs at their trials' ends.", "not below belief_std."
    ),
    f"{HEALTH}/update/rewards_explained": Entry(
        "Share of the rewards' variance that is decoded from the mean belief at a trial's end, before the "
        "update.",
        "about 0 for long: the decoder says the same of all tasks, or nothing.",
    ),
    f"{HEALTH}/update/gradient_steps": Entry("Gradient steps of the iteration.", "0."),
    f"{HEALTH}/update/replay_rows": Entry("Environment steps in the memory."),
    f"{HEALTH}/update/critic_loss": Entry(
        "The critics' loss, of the last gradient step.", "growing without end."
    ),
    f"{HEALTH}/update/actor_loss": Entry("The policy's loss, of the last gradient step."),
    f"{HEALTH}/update/critic_value": Entry("The critics' mean value.", "beyond what returns can be."),
    f"{HEALTH}/update/temperature": Entry("The entropy's weight alpha.", "growing without end."),
    f"{HEALTH}/update/posterior_kl": Entry(
        "KL of the posterior to N(0, I), mean over tasks, nats.", "0: contexts say nothing."
    ),
    f"{HEALTH}/update/posterior_std": Entry(
        "Standard deviation of the posterior, mean over tasks.", "1: contexts say nothing."
    ),
    f"{HEALTH}/update/inner_residual": Entry(
        "What the inner solver left unsolved, of the worst task.", "above 0.5: more solver_steps."
    ),
    f"{HEALTH}/update/kl_penalty_K": Entry(
        "The penalty on the KL of inner step K, as it adapts to its target."
    ),
    f"{HEALTH}/update/sampling_kl_K": Entry(
        "KL of the policy that samples before inner step K, to the old one."
    ),
    f"{HEALTH}/update/mean_of_LEARNED": Entry(
        "Mean of what is learned beside the network, e.g. step sizes; `step_size.log` is a size's logarithm.",
        "step sizes that fall to 0 or below, or a logarithm that falls without end.",
    ),
    f"{HEALTH}/update/rms_of_LEARNED": Entry("Root mean square of what is learned beside the network."),
    f"{HEALTH}/policy/entropy": Entry(
        "Entropy of the adapted policies, in nats.",
        "falling fast at first: exploration dies before it learned.",
    ),
    f"{HEALTH}/policy/std": Entry(
        "Standard deviation of the adapted policies' actions, relative to the action box.",
        "below 0.05 early: nothing is explored; rising without end: the gradient is noise.",
    ),
    f"{HEALTH}/baseline/explained_variance": Entry(
        "Share of the returns' variance that the baseline explains.", "below 0: advantages are noise."
    ),
    f"{HEALTH}/learned_step_sizes": Entry(
        "Every learned inner step size: its mean and, of many, the smallest and the largest.",
        "bars at 0 or below: these parameters do not adapt.",
    ),
    f"{INTERVALS}/return_after_K_steps_low": Entry(
        "Lower end of the 95 % interval of the return after K steps."
    ),
    f"{INTERVALS}/return_after_K_steps_high": Entry(
        "Upper end of the 95 % interval of the return after K steps."
    ),
    f"{INTERVALS}/gain_low": Entry("Lower end of the gain's 95 % bootstrap interval over tasks.", "below 0."),
    f"{INTERVALS}/gain_high": Entry("Upper end of the gain's 95 % bootstrap interval over tasks."),
    f"{RESOURCES}/sampling_seconds": Entry("Seconds of an iteration that went into episodes."),
    f"{RESOURCES}/advantages_seconds": Entry("Seconds that went into baselines and advantages."),
    f"{RESOURCES}/adaptation_seconds": Entry("Seconds that went into inner steps between rollouts."),
    f"{RESOURCES}/update_seconds": Entry("Seconds that went into the outer step."),
    f"{RESOURCES}/iteration_seconds": Entry("Seconds of the whole iteration.", "growing over a run."),
    f"{RESOURCES}/environment_steps_per_second": Entry("Environment steps by the seconds of sampling."),
    f"{RESOURCES}/memory_gib": Entry("Memory of the process, GiB.", "growing over a run."),
    f"{RESOURCES}/gpu_memory_gib": Entry(
        "Largest memory that tensors took on the GPU, GiB.", "near the GPU's."
    ),
    CARD: Entry("What the run is, how to go on with it, and how to read the charts."),
    SETTINGS: Entry("The resolved config."),
    FAULT: Entry("What could not be measured or drawn, and why."),
}
"""By tag; K stands for a number, LEARNED for a name."""
_PATTERNS = (
    (re.compile(r"return_after_\d+_steps?"), "return_after_K_steps"),
    (re.compile(r"(kl_penalty|sampling_kl)_\d+"), r"\1_K"),
    (re.compile(r"(mean|rms)_of_.+"), r"\1_of_LEARNED"),
)
_OF_ITS_OWN = Entry("A diagnostic of the meta-learner's own; see where it is defined.")


def entry_of(tag: str) -> Entry | None:
    """The entry of a tag; None of one that a user's own meta-learner tells."""
    for pattern, name in _PATTERNS:
        tag = pattern.sub(name, tag)
    return ENTRIES.get(tag)


def describe(tag: str) -> str:
    """What TensorBoard says of a tag, in Markdown."""
    return (entry_of(tag) or _OF_ITS_OWN).text
