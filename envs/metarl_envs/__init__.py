"""Task-parametrised continuous-control environments for Gymnasium, vectorised natively."""

from metarl_envs.rendering import opengl  # noqa: F401  (imports mujoco first, also without OpenGL)

# isort: split
from metarl_envs.family import Family, Simulation, State
from metarl_envs.plane_parameters import Disc, Heading
from metarl_envs.registration import FAMILIES, register_all, register_family
from metarl_envs.single_env import TaskEnv
from metarl_envs.task_files import read_tasks, tasks_from_data, tasks_to_data, write_tasks
from metarl_envs.task_parameters import Choice, LogUniform, Uniform
from metarl_envs.tasks import Task, Tasks, TaskSpace, stack_tasks, unstack_tasks
from metarl_envs.vector_env import VectorTaskEnv

__all__ = [
    "FAMILIES",
    "Choice",
    "Disc",
    "Family",
    "Heading",
    "LogUniform",
    "Simulation",
    "State",
    "Task",
    "TaskEnv",
    "TaskSpace",
    "Tasks",
    "Uniform",
    "VectorTaskEnv",
    "read_tasks",
    "register_family",
    "stack_tasks",
    "tasks_from_data",
    "tasks_to_data",
    "unstack_tasks",
    "write_tasks",
]

register_all()
