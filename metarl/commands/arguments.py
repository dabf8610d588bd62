"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from jsonargparse.typing import NonNegativeInt, PositiveInt

from metarl.runs.load import load_meta_policy
from metarl.runs.meta_policy import MetaPolicy
from metarl.training.progress_bar import add_quiet


def add_run_arguments(
    parser: argparse.ArgumentParser, nargs: str | None = None, what: str | None = None
) -> None:
    """The place of a run's policy, and how it is loaded.

    Args:
        what: the place may be, for the help.
    """
    several = "; several that differ in their seeds" if nargs == "+" else ""
    what = what or f"folder of a run, zoo/NAME or hf://OWNER/NAME{several}"
    parser.add_argument("run_dir", type=Path, nargs=nargs, help=what)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--trust", action="store_true", help="import the modules that the run's config names")
    add_quiet(parser)


def add_adaptation_arguments(
    parser: argparse.ArgumentParser, *, steps: int, episodes: str, with_memory: str = "1"
) -> None:
    """How much a policy adapts.

    Args:
        steps: the default of inner steps.
        episodes: what is so many, for the help.
        with_memory: the default of a policy with memory, for the help.
    """
    parser.add_argument(
        "--episodes", type=PositiveInt, help=f"{episodes} (20; of a policy with memory {with_memory})"
    )
    parser.add_argument("--steps", type=PositiveInt, default=steps, help=f"inner steps ({steps})")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="determines tasks and noise (0)")


def load_run(arguments: argparse.Namespace, folder: Path | None = None, **changes: Any) -> MetaPolicy:
    """The meta-policy of the run that the arguments name, and its experiment built.

    Args:
        folder: of a run, where the arguments name several.
        changes: as `metarl.load` takes them.

    Raises:
        RunError: there is none, or it names a module and is not trusted.
        ConfigError: the device is not there, or the environment cannot be had.
    """
    run_dir = arguments.run_dir if folder is None else folder
    meta_policy = load_meta_policy(run_dir, arguments.device, trust=arguments.trust, **changes)
    _ = meta_policy.experiment
    return meta_policy
