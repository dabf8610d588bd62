"""The card of a run: what it is, how to go on with it, and how to read its charts."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from metarl.adaptation.points import Points
from metarl.experiment.build import TRIALS, Experiment
from metarl.experiment.environments import held_out_phrase
from metarl.experiment.experiments import ExperimentConfig
from metarl.experiment.plain_yaml import dump_yaml
from metarl.policies.policy import remembers
from metarl.runs.files import VERSION
from metarl.training.next_commands import CHARTS, charts_command, next_commands
from metarl.training.tensorboard.groups import GROUPS

_ROOT = Path(__file__).parents[3]
_PACKAGES = ("torch", "gymnasium", "mujoco", "numpy")


def card(experiment: Experiment) -> str:
    """The card, in Markdown."""
    config = experiment.config
    settings, listed = config.training, "\n".join(next_commands(experiment))
    budget = (
        f", at most {settings.environment_steps:,} environment steps" if settings.environment_steps else ""
    )
    tasks = experiment.held_out_tasks(settings.evaluation_tasks, config.seed)
    evaluated = f"{held_out_phrase(experiment.task_distribution, tasks)}, {_measured(experiment)}"
    lines = [
        f"## {config.meta_learner_name} on {config.environment.id}",
        f"Seed {config.seed}; {settings.iterations} iterations{budget}. Evaluations: {evaluated}.",
        "### Where to look",
        "The axis of every chart is environment steps. Begin with the page [Custom Scalars]"
        f"({CHARTS}) of `{charts_command(Path(config.run_dir))}`, where a "
        "colour is a run and bands are 95 % intervals, unless a chart says otherwise, then **Images**. On "
        "the page Scalars set smoothing to 0: evaluations are few points. A chart's *i* says what it "
        "means and what a sick value looks like. **HParams** is the table of a sweep.",
        _table(GROUPS, ("group", "what it shows")),
        "### Go on",
        f"```\n{listed}\n```",
        "### Made with",
        _table(versions(), ("what", "version")),
    ]
    return "\n\n".join(lines)


def _measured(experiment: Experiment) -> str:
    """How much of every task: "20 episodes, 3 inner steps", or "4 trials, returns after up to 6 episodes"."""
    settings = experiment.config.training
    episodes, count = int(settings.evaluation_episodes), int(settings.evaluation_steps) + 1
    if remembers(experiment.policy):
        return f"{TRIALS} trials, returns after up to {Points(count, episodes).last_text}"
    return f"{episodes} episode{'s' * (episodes != 1)}, {Points(count).last_text}"


def config_text(config: ExperimentConfig) -> str:
    """The resolved config, in Markdown."""
    return f"```yaml\n{dump_yaml(config.as_dict())}```"


def versions() -> dict[str, str]:
    """Of what the run is made with; metarl's commit too, where it is a git work tree of its own."""
    commit = _commit(_ROOT)
    own = f"{VERSION}, commit {commit}" if commit else VERSION
    return {
        "metarl": own,
        "Python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
    }


def _commit(folder: Path) -> str | None:
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _table(rows: Mapping[str, Any], titles: tuple[str, str]) -> str:
    lines = [f"| {titles[0]} | {titles[1]} |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]
    return "\n".join(lines)
