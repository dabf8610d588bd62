"""The papers' test protocols by their names, for `metarl evaluate --protocol`."""

from __future__ import annotations

from typing import Any

PROTOCOLS: dict[str, dict[str, Any]] = {
    "finn2017": {"tasks": 40, "episodes": 20, "steps": 3, "later_step_scale": 0.5},
    "finn2017_navigation": {"tasks": 40, "episodes": 40, "steps": 3, "later_step_scale": 0.5},
    "rothfuss2019": {"tasks": 40, "episodes": 20, "steps": 1},
}
"""Options of `metarl evaluate` by the protocol's name.

finn2017: MAML (arXiv:1703.03400, section 5.3 and the released evaluation): 40 tasks drawn for the test, 0 to
    3 gradient steps, the step size halved after the first, 4000 environment steps per task and step: 20
    episodes of the locomotion tasks' 200.
finn2017_navigation: the same of 2D navigation, where 4000 environment steps are 40 episodes of 100.
rothfuss2019: ProMP (arXiv:1810.06784, section 6): 40 tasks, 20 episodes each, one gradient step.

None of them sets what the run has from training: environment and preset, horizon, the first step's size,
advantages, network. Differences from the papers that remain:

finn2017, finn2017_navigation: tasks are drawn by `--seed`, and are not the released lists; half-cheetah's
    two directions come 20 times each. The paper's bodies are rllab's in MuJoCo of 2016; here they are
    Gymnasium's in today's, whose returns are not comparable to the digit. Intervals are bootstrap intervals
    over seeds and tasks.
rothfuss2019: the paper plots the return after the step in the course of meta-training, on the tasks that an
    iteration trains on; here it is measured once, of the policy at the end of training, on evaluation tasks.
    Bodies are Gymnasium's in today's MuJoCo; intervals are as above.
"""
