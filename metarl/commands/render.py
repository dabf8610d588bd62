"""Films a run before and after adaptation to a task, side by side: metarl render RUN_DIR
--task '{"velocity": 1.5}' --steps 1 --output video.mp4. Or an environment under random actions:
metarl render --environment metarl/AntGoal-v0 --output picture.png."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import torch
from gymnasium.error import Error as GymnasiumError
from jsonargparse.typing import PositiveInt
from metarl_envs.foreign.adapters import SampledTasks
from metarl_envs.rendering.frames import Frame
from metarl_envs.single_env import TaskEnv

from metarl.adaptation.points import Points
from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments, load_run
from metarl.commands.one_task import adapt_to, read_task, with_rounds
from metarl.commands.parser import CommandParser
from metarl.errors import ConfigError, MetaRLError
from metarl.policies.policy import remembers
from metarl.runs.captions import captions_of, side_by_side
from metarl.runs.films import film_episode, frames_per_second, make_filmed, mean_action
from metarl.runs.tables import task_text
from metarl.training.progress_bar import Progress

PACKAGES = {".mp4": ("imageio", "imageio_ffmpeg"), ".gif": ("imageio",), ".png": ("imageio",)}


def main() -> int:
    parser = CommandParser(description=__doc__)
    add_run_arguments(parser, nargs="?")
    parser.add_argument("--environment", metavar="ID", help="in place of a run: random actions in it")
    parser.add_argument("--task", help="the task as JSON, or a file of it (an environment: its default)")
    parser.add_argument("--output", type=Path, required=True, help=".mp4, .gif, or .png: the last frame")
    parser.add_argument(
        "--overwrite", choices=("true", "false"), default="false", help="replace an --output that is there"
    )
    parser.add_argument("--length", type=PositiveInt, help="environment steps (an episode)")
    add_adaptation_arguments(
        parser, steps=1, episodes="episodes of every inner step", with_memory="one less than in training"
    )
    parser.set_defaults(steps=None)
    parser.add_argument("--width", type=PositiveInt, help="of one picture, pixels (the environment's)")
    parser.add_argument("--height", type=PositiveInt, help="of one picture, pixels (the environment's)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        check_arguments(arguments)
        filmed = film_environment if arguments.run_dir is None else film_run
        print(filmed(arguments))
    except (MetaRLError, GymnasiumError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def check_arguments(arguments: argparse.Namespace) -> None:
    """Before the work, what would be missed after it."""
    if (arguments.run_dir is None) == (arguments.environment is None):
        raise ConfigError("expected a run folder or --environment, one of the two")
    if arguments.run_dir is not None and arguments.task is None:
        raise ConfigError("--task: expected the task to adapt to, as JSON")
    output = arguments.output
    if output.suffix not in PACKAGES:
        raise ConfigError(f"--output: expected a name that ends in {', '.join(PACKAGES)}, got {output}")
    if not output.parent.is_dir():
        raise ConfigError(f"--output: expected a name in a folder that exists, got {output}")
    if output.exists() and arguments.overwrite == "false":
        raise ConfigError(
            f"--output: expected a name that is free, got {output}, which is there; choose another one, or "
            "replace it by --overwrite true"
        )
    if not all(find_spec(package) for package in PACKAGES[output.suffix]):
        raise ConfigError(f'--output: {output.suffix} needs pip install "metarl-control[video]"')


def film_environment(arguments: argparse.Namespace) -> str:
    env = make_filmed(arguments.environment, {}, size_of(arguments))
    with closing(env):
        task = None if arguments.task is None else read_task(arguments.task, task_distribution(env))
        env.action_space.seed(arguments.seed)
        length = arguments.length or (env.spec and env.spec.max_episode_steps) or 200
        with Progress(length, "step", quiet=arguments.quiet) as bar:
            frames = film_episode(
                env,
                lambda observation, reward: env.action_space.sample(),
                task,
                length,
                seed=arguments.seed,
                progress=bar.advance,
            )
            save(arguments.output, frames, frames_per_second(env))
    return f"{arguments.environment} under random actions is in {arguments.output}"


def film_run(arguments: argparse.Namespace) -> str:
    meta_policy = load_run(arguments)
    rounds = with_rounds(meta_policy, arguments)
    settings = meta_policy.experiment.config.environment
    task = read_task(arguments.task, meta_policy.experiment.task_distribution)
    length, before_acts = arguments.length or settings.horizon, mean_action(meta_policy)
    envs = [make_filmed(settings.id, settings.options, size_of(arguments)) for _ in range(2)]
    next(film_episode(envs[0], before_acts, task, 1))  # what cannot be drawn is told before the work
    with Progress(rounds.steps + 1, "rollout", quiet=arguments.quiet) as bar:
        _, adapted = adapt_to(meta_policy, task, rounds, shown=lambda returns: bar.advance())
    acts = [before_acts, mean_action(adapted)]
    with closing(envs[0]), closing(envs[1]), Progress(2 * length, "step", quiet=arguments.quiet) as bar:
        before, after = (
            film_episode(env, act, task, length, seed=arguments.seed, progress=bar.advance)
            for env, act in zip(envs, acts, strict=True)
        )
        in_a_row = 1 if remembers(meta_policy.policy) else None
        adapted_text = Points(rounds.steps + 1, in_a_row).last_text
        frames = side_by_side(before, after, captions_of(adapted_text))
        save(arguments.output, frames, frames_per_second(envs[0]))
    return f"{settings.id}, {task_text(task)}, before and after adaptation, is in {arguments.output}"


def size_of(arguments: argparse.Namespace) -> tuple[int, int] | None:
    """Width and height of a picture, as far as they are given; the other is a 4:3 picture's."""
    width, height = arguments.width, arguments.height
    if width is None and height is None:
        return None
    return width or -(-height * 4 // 3), height or -(-width * 3 // 4)


def task_distribution(env: gymnasium.Env[Any, Any]) -> Any:
    one = env.unwrapped
    try:
        return one.task_space if isinstance(one, TaskEnv) else SampledTasks(env)
    except ValueError as error:
        raise ConfigError(f"--task: {error}") from error


def save(output: Path, frames: Iterable[Frame], rate: float) -> None:
    """Writes the frames, so many a second, or the last one as a picture; the file is whole, or as it was."""
    begun = output.with_stem(f"{output.stem}.begun")
    try:
        write(begun, frames, rate)
        begun.replace(output)
    finally:
        begun.unlink(missing_ok=True)


def write(path: Path, frames: Iterable[Frame], rate: float) -> None:
    imageio: Any = import_module("imageio.v2")  # of the extra "video"

    if path.suffix == ".png":
        (last,) = deque(frames, maxlen=1)
        imageio.imwrite(path, last)
        return
    options = {
        ".mp4": {"fps": rate, "macro_block_size": 2},
        ".gif": {"duration": 1000 / rate, "loop": 0},
    }
    with imageio.get_writer(path, **options[path.suffix]) as writer:
        for frame in frames:
            writer.append_data(frame)
