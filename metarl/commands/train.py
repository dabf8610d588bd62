"""Trains a meta-policy: metarl train CONFIG [--run_dir DIR] [--resume true] [--section.key value ...], where
CONFIG is a YAML file or the name of a shipped one, e.g. quickstart. Ctrl-C keeps every finished iteration."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from metarl.errors import MetaRLError
from metarl.experiment.build import build_experiment
from metarl.experiment.config import ExperimentConfig, ScratchExperiment, read_config, sections_of
from metarl.experiment.key_help import explain_keys
from metarl.experiment.names import named_modules
from metarl.experiment.shipped import find_config, shipped_configs
from metarl.from_scratch.training import planned_steps, run_from_scratch
from metarl.runs.files import EVALUATION, HELD_OUT_TASK, PROGRESS, RESULTS
from metarl.runs.folder import hold_run_folder
from metarl.training.run_training import Reporter, format_curve, prepare_run, run_training


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true", help="show this, and every key of a config")
    parser.add_argument("--config", help="a YAML file, or the name of a shipped config")
    parser.add_argument("--resume", choices=("true", "false"), default="false", help="go on with the run")
    words = sys.argv[1:]
    if words and not words[0].startswith("-"):
        words = ["--config", *words]
    arguments, overrides = parser.parse_known_args(words)
    if arguments.help or arguments.config is None:
        parser.print_help()
        if not arguments.help:
            print(f"\nerror: expected a config: a file, or one of {shipped_configs()}", file=sys.stderr)
        return print_keys(arguments.config, overrides) if arguments.help else 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        config = read_config(find_config(arguments.config), overrides)
        if isinstance(config, ScratchExperiment):
            learn: Callable[[bool], None] = partial(learn_from_scratch, config)
        else:
            learn = partial(meta_learn, config)
        with hold_run_folder(Path(config.run_dir)):
            learn(arguments.resume == "true")
    except KeyboardInterrupt:
        command = f"metarl train {arguments.config} {shlex.join(overrides)}".strip()
        print(f"\nStopped; every finished iteration or task is kept. Go on with:\n  {command} --resume true")
        return 130
    except MetaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def meta_learn(config: ExperimentConfig, resume: bool) -> None:
    experiment = build_experiment(config)
    start = prepare_run(config, resume, experiment)
    iterations, budget = config.training.iterations, config.training.environment_steps
    print(
        f"{config.environment.id}: {config.meta_learner_name} on {experiment.device}, "
        f"run folder {config.run_dir}"
    )
    if start.iteration:
        end = f"{budget:,} environment steps" if budget else iterations
        print(f"Resumed at iteration {start.iteration} of {end}.")
    rejected: list[float] = []
    unit = {"unit": "step", "unit_scale": True} if budget else {"unit": "it"}
    done = start.environment_steps if budget else start.iteration
    with tqdm(total=budget or iterations, initial=done, dynamic_ncols=True, **unit) as bar:

        def show(metrics: dict[str, float]) -> None:
            bar.set_postfix(
                before=f"{metrics['rollout/return_before']:.1f}",
                after=f"{metrics['rollout/return_after']:.1f}",
                refresh=False,
            )
            rejected.append(1.0 - metrics.get("update/accepted", 1.0))
            bar.update(metrics["rollout/environment_steps"] - bar.n if budget else 1)

        reporter = Reporter(lambda line: bar.write(line, file=sys.stdout), show)
        final, curve = run_training(experiment, start, reporter)
    print(f"\nReturn on {curve.count} held-out tasks, by number of inner steps:\n")
    print(format_curve(curve))
    if any(rejected):
        where = f"update/rejection in {config.run_dir}/{PROGRESS} says why"
        print(f"\n{sum(rejected):.0f} of {len(rejected)} updates were rejected and changed nothing; {where}.")
    run_dir = Path(config.run_dir)
    trust = " --trust" if named_modules(config.as_dict()) else ""
    adapt = ["metarl", "adapt", config.run_dir, "--task", str(run_dir / HELD_OUT_TASK)]
    print(
        f"\nTrained for {final.iteration} iterations, {final.environment_steps:,} environment steps. "
        f"The table is in {run_dir / EVALUATION}. Now:\n"
        f"  tensorboard --logdir {shlex.quote(config.run_dir)}\n"
        f"  {shlex.join(adapt)} --episodes 20 --steps 3{trust}"
    )


def learn_from_scratch(config: ScratchExperiment, resume: bool) -> None:
    settings, training = config.from_scratch, config.training
    tasks = training.evaluation_tasks
    print(
        f"{config.environment.id}: {settings.algorithm} from scratch on {tasks} held-out tasks, run folder "
        f"{config.run_dir}"
    )
    with tqdm(total=planned_steps(config), unit="step", unit_scale=True, dynamic_ncols=True) as bar:
        result = run_from_scratch(config, resume, bar.update)
    inner_step = training.evaluation_episodes * config.environment.horizon
    print(
        f"\nReturn on {result.curve.count} held-out tasks, by number of inner steps, each as {inner_step:,} "
        f"environment steps of learning:\n\n{format_curve(result.curve)}\n"
    )
    print(f"{'environment steps':>18}{'seconds':>10}{'mean return':>14}   a task")
    for steps, seconds, returns in zip(result.environment_steps, result.seconds, result.returns, strict=True):
        print(f"{steps:>18,}{seconds.mean():>10.2f}{returns.mean():>14.2f}")
    print(
        f"\nIn all {result.total_environment_steps:,} environment steps, {result.total_seconds:.0f} s of "
        f"learning. Every task's results are in {config.run_dir}/{RESULTS}, the table by inner steps in "
        f"{config.run_dir}/{EVALUATION}"
    )


def print_keys(config: str | None, overrides: list[str]) -> int:
    """Prints every key of the config, MAML's without one."""
    try:
        sections, policy = sections_of(config or {"meta_learner": {"name": "maml"}}, overrides)
    except MetaRLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\nKeys of a config, each with its default; --meta_learner.name NAME --help shows another's.\n")
    print(explain_keys(sections, policy))
    return 0
