"""Task-parametrised continuous-control environments for Gymnasium, vectorised natively."""

from metarl_envs.family import Family, Simulation, State
from metarl_envs.registration import FAMILIES, register_all, register_family
from metarl_envs.single_env import TaskEnv
from metarl_envs.tasks import Choice, Task, Tasks, TaskSpace, Uniform, stack_tasks, unstack_tasks
from metarl_envs.vector_env import VectorTaskEnv

__all__ = [
    "FAMILIES",
    "Choice",
    "Family",
    "Simulation",
    "State",
    "Task",
    "TaskEnv",
    "TaskSpace",
    "Tasks",
    "Uniform",
    "VectorTaskEnv",
    "register_family",
    "stack_tasks",
    "unstack_tasks",
]

register_all()
