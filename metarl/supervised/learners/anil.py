"""ANIL (Raghu et al. 2020, section 4): only the last layer adapts; the outer step alone learns the body.

theta'_head = theta_head - alpha grad_head L(theta; support)
"""

from __future__ import annotations

from metarl.compute.task_map import TaskMap
from metarl.supervised.learners.learner import Learner
from metarl.supervised.learners.maml import MamlConfig, descent, through_steps
from metarl.supervised.model import Model
from metarl.supervised.networks.network import HEAD


def anil(model: Model, config: MamlConfig, task_map: TaskMap) -> Learner:
    """The learner theta'_head = theta_head - alpha grad_head L(theta; support)."""
    return through_steps(model, config, descent(model, config, HEAD), task_map)
