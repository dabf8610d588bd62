"""Films a run before and after adaptation to a task, side by side: metarl render RUN_DIR
--task '{"velocity": 1.5}' --steps 1 --output video.mp4. Or an environment under random actions:
metarl render --environment metarl/AntGoal-v0 --output picture.png."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.error import Error as GymnasiumError
from jsonargparse.typing import PositiveInt
from metarl_envs.foreign.adapters import SampledTasks, apply_task
from metarl_envs.single_env import TaskEnv
from numpy.typing import NDArray

from metarl.commands.arguments import add_adaptation_arguments, add_run_arguments, load_run
from metarl.commands.one_task import adapt_to, read_task
from metarl.errors import ConfigError, MetaRLError
from metarl.runs.acting import ActingPolicy
from metarl.training.progress_bar import track

Frame = NDArray[np.uint8]
Act = Callable[[Any], Any]
"""Observation -> action."""
PACKAGES = {".mp4": ("imageio", "imageio_ffmpeg"), ".gif": ("imageio",), ".png": ("imageio",)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser, nargs="?")
    parser.add_argument("--environment", metavar="ID", help="in place of a run: random actions in it")
    parser.add_argument("--task", help="the task as JSON, or a file of it (an environment: its default)")
    parser.add_argument("--output", type=Path, required=True, help=".mp4, .gif, or .png: the last frame")
    parser.add_argument("--length", type=PositiveInt, help="environment steps (an episode)")
    add_adaptation_arguments(parser, steps=1, episodes="episodes of every inner step")
    parser.add_argument("--width", type=PositiveInt, help="of one picture, pixels (the environment's)")
    parser.add_argument("--height", type=PositiveInt, help="of one picture, pixels (the environment's)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads take whole tasks, as in training
    try:
        check_arguments(arguments)
        film = film_environment if arguments.run_dir is None else film_run
        print(film(arguments))
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
    if not all(find_spec(package) for package in PACKAGES[output.suffix]):
        raise ConfigError(f'--output: {output.suffix} needs pip install "metarl-control[video]"')


def film_environment(arguments: argparse.Namespace) -> str:
    env = make_env(arguments.environment, {}, arguments)
    with closing(env):
        task = None if arguments.task is None else read_task(arguments.task, task_distribution(env))
        env.action_space.seed(arguments.seed)
        length = arguments.length or (env.spec and env.spec.max_episode_steps) or 200
        steps = play(env, lambda observation: env.action_space.sample(), task, length, arguments.seed)
        save(
            arguments.output,
            track(steps, length, "step", quiet=arguments.quiet),
            partial(frame, env),
            fps(env),
        )
    return f"{arguments.environment} under random actions is in {arguments.output}"


def film_run(arguments: argparse.Namespace) -> str:
    meta_policy = load_run(arguments)
    settings = meta_policy.experiment.config.environment
    task = read_task(arguments.task, meta_policy.experiment.task_distribution)
    length = arguments.length or settings.horizon
    envs = [make_env(settings.id, settings.options, arguments) for _ in range(2)]
    with closing(envs[0]), closing(envs[1]):
        policies = (meta_policy, adapt_to(meta_policy, task, arguments)[1])
        captions = ("before adaptation", "after adaptation")
        plays = [
            play(env, mean_action(policy), task, length, arguments.seed)
            for env, policy in zip(envs, policies, strict=True)
        ]

        def picture() -> Frame:
            return np.hstack([captioned(frame(e), c) for e, c in zip(envs, captions, strict=True)])

        steps = track(zip(*plays, strict=True), length, "step", quiet=arguments.quiet)
        save(arguments.output, steps, picture, fps(envs[0]))
    return f"{settings.id}, task {arguments.task}, before and after adaptation, is in {arguments.output}"


def make_env(env_id: str, options: dict[str, Any], arguments: argparse.Namespace) -> gymnasium.Env[Any, Any]:
    size = {name: getattr(arguments, name) for name in ("width", "height") if getattr(arguments, name)}
    try:
        return gymnasium.make(env_id, render_mode="rgb_array", **options, **size)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{env_id}: {error}") from error


def task_distribution(env: gymnasium.Env[Any, Any]) -> Any:
    one = env.unwrapped
    try:
        return one.task_space if isinstance(one, TaskEnv) else SampledTasks(env)
    except ValueError as error:
        raise ConfigError(f"--task: {error}") from error


def mean_action(policy: ActingPolicy) -> Act:
    return lambda observation: policy.predict(observation, deterministic=True)[0]


def play(
    env: gymnasium.Env[Any, Any], act: Act, task: dict[str, Any] | None, length: int, seed: int
) -> Iterator[None]:
    """Takes so many steps, one at a time; an episode that has ended stands still."""
    options = apply_task(env, task) if task else None
    observation, _ = env.reset(seed=seed, options=options)
    over = False
    for _ in range(length):
        if not over:
            observation, _, terminated, truncated, _ = env.step(act(observation))
            over = terminated or truncated
        yield


def frame(env: gymnasium.Env[Any, Any]) -> Frame:
    return np.asarray(env.render(), dtype=np.uint8)


def fps(env: gymnasium.Env[Any, Any]) -> float:
    return float(env.metadata.get("render_fps", 30))


def captioned(frame: Frame, caption: str) -> Frame:
    from PIL import Image, ImageDraw  # imageio's

    picture = Image.fromarray(frame)
    size = max(12, picture.height // 20)
    place = (size // 2, picture.height - size // 2)
    drawn = ImageDraw.Draw(picture)
    drawn.text(place, caption, "white", font_size=size, anchor="lb", stroke_width=1, stroke_fill="black")
    return np.asarray(picture)


def save(output: Path, steps: Iterable[Any], picture: Callable[[], Frame], frames_per_second: float) -> None:
    """A picture after every step, or after the last one."""
    imageio: Any = import_module("imageio.v2")  # of the extra "video"

    if output.suffix == ".png":
        for _ in steps:
            pass
        imageio.imwrite(output, picture())
        return
    options = {
        ".mp4": {"fps": frames_per_second, "macro_block_size": 2},
        ".gif": {"duration": 1000 / frames_per_second, "loop": 0},
    }
    with imageio.get_writer(output, **options[output.suffix]) as writer:
        for _ in steps:
            writer.append_data(picture())
