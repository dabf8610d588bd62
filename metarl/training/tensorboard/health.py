"""What the tags of health mean, and what a sick value looks like."""

from __future__ import annotations

from metarl.training.tensorboard.groups import HEALTH, REJECTION, Entry

HEALTH_ENTRIES = {
    f"{HEALTH}/diverged_episodes": Entry(
        "Episodes that the simulator had to end.", "above 0 again and again: actions are too large."
    ),
    f"{HEALTH}/inner/kl": Entry(
        "How far an inner step moves a policy: mean KL from before to after, in nats.",
        "above about 1 while the gain falls: the step goes too far. Where the gain rises, as in the "
        "quickstart, which ends at about 6, a large one is what was learned; below 0.0001: the step changes "
        "nothing.",
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
        "below 0 while the gain falls: the step overshoots, try a smaller inner_step_size; about 0 from the "
        "start: gradients are noise, take more episodes. Where one step is enough, it is of either sign.",
    ),
    f"{HEALTH}/update/surrogate_before": Entry(
        "The outer objective before the update; 0 but for rounding where advantages are normalised.",
        "far from 0 where advantages are normalised.",
    ),
    f"{HEALTH}/update/surrogate_after": Entry(
        "The outer objective after the update, on the same episodes.", "not above surrogate_before."
    ),
    f"{HEALTH}/update/surrogate_last_epoch": Entry(
        "The clipped objective before the last Adam step.", "below surrogate_before: a smaller learning_rate."
    ),
    f"{HEALTH}/update/meta_gradient_norm": Entry(
        "Length of the outer gradient.", "0, or a spike by a factor of 100: an update to distrust."
    ),
    f"{HEALTH}/update/task_cosine": Entry(
        "Mean cosine between two tasks' outer gradients: whether one update serves all.",
        "about 0 while nothing is learned: gradients are noise, take more episodes or tasks; below 0: tasks "
        "conflict.",
    ),
    f"{HEALTH}/update/kl": Entry(
        "How far the outer step moved the adapted policies: mean KL in nats.",
        "0: nothing moves; of clipped steps, far above 0.01: too many epochs or too high a rate.",
    ),
    f"{HEALTH}/update/cg_residual": Entry(
        "What conjugate gradients left unsolved, relative to the gradient.",
        "above 0.1: more cg_iterations, or more cg_damping.",
    ),
    f"{HEALTH}/update/cg_iterations": Entry(
        "Conjugate gradients' iterations.",
        "always trust_region.cg_iterations while cg_residual is above 0.1: take more.",
    ),
    f"{HEALTH}/update/backtracks": Entry(
        "How often the line search shortened the step.",
        "many in most iterations: the trust region is no model.",
    ),
    f"{HEALTH}/update/step_norm": Entry("Length of the outer step in the parameters.", "0."),
    f"{HEALTH}/update/accepted": Entry(
        "1 where the outer step was taken, 0 where it was rejected.", "often 0."
    ),
    REJECTION: Entry("Why an outer step was rejected.", "any, often: see the page Text."),
    f"{HEALTH}/update/learning_rate": Entry(
        "Adam's learning rate.", "about 0 long before the end: a schedule that is too short."
    ),
    f"{HEALTH}/update/displacement_norm": Entry(
        "Length of the mean way from the meta-parameters to adapted ones.", "growing."
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
    f"{HEALTH}/update/surrogate_last_minibatch": Entry(
        "The clipped objective of the last minibatch.", "below 0."
    ),
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
    f"{HEALTH}/update/replay_rows": Entry(
        "Environment steps in the memory.", "not growing, below replay_capacity."
    ),
    f"{HEALTH}/update/critic_loss": Entry(
        "The critics' loss, of the last gradient step.", "growing without end."
    ),
    f"{HEALTH}/update/actor_loss": Entry(
        "The policy's loss, of the last gradient step.",
        "rising for long: the critics value what the policy does less and less.",
    ),
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
        "The penalty on the KL of inner step K, as it adapts to its target.", "growing without end."
    ),
    f"{HEALTH}/update/sampling_kl_K": Entry(
        "KL of the policy that samples before inner step K, to the old one.", "far from the target."
    ),
    f"{HEALTH}/update/final_step_weight": Entry(
        "Weight of the last inner step's loss in the outer one.",
        "far from 1 at the end: earlier steps still count as much.",
    ),
    f"{HEALTH}/update/second_order": Entry(
        "1 once inner gradients are differentiated, 0 before.",
        "0 at the end: inner gradients were never differentiated.",
    ),
    f"{HEALTH}/update/mean_of_LEARNED": Entry(
        "Mean of what is learned beside the network, e.g. step sizes; `step_size.log` is a size's logarithm.",
        "step sizes that fall to 0 or below, or a logarithm that falls without end.",
    ),
    f"{HEALTH}/update/rms_of_LEARNED": Entry(
        "Root mean square of what is learned beside the network.", "growing without end."
    ),
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
}
"""By tag; K stands for a number, LEARNED for a name."""
