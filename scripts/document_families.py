"""Writes what the code knows of every family into its page: python scripts/document_families.py
docs/environments. Between two marker lines of a page stand its numbers: sizes, options, and by preset the
tasks and the reward's weights, measured on bodies that move, act or touch by one unit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from metarl_envs.family import Family, State
from metarl_envs.plane_parameters import Disc, Heading
from metarl_envs.registration import FAMILIES, build_family
from metarl_envs.task_parameters import Array, Choice, LogUniform
from metarl_envs.tasks import Tasks

START, END = "<!-- numbers: written by scripts/document_families.py -->", "<!-- end of numbers -->"
PRESETS = ("maml", "promp", "pearl")


def main() -> int:
    (folder,) = map(Path, sys.argv[1:])
    for name in FAMILIES:
        page = folder / f"{name}.md"
        before, _, rest = page.read_text().partition(START)
        page.write_text(f"{before}{START}\n\n{numbers(name)}\n{END}{rest.partition(END)[2]}")
    return 0


def numbers(name: str) -> str:
    """A family's tables, as Markdown."""
    spec, family = gymnasium.spec(f"metarl/{name}-v0"), build_family(name, {})
    options = [option for option in signature(FAMILIES[name]).parameters if option != "preset"]
    facts = {
        "observation": f"{family.observation_size} numbers",
        "action": f"{len(family.control_low)} numbers in [-1, 1], mapped onto {actuators(family)}",
        "step": f"{family.dt:g} s" if family.dt != 1 else "1, without a unit",
        "episode": f"{spec.max_episode_steps} steps",
        "options": ", ".join(f"`{option}`" for option in ("preset", *options)),
    }
    named = {preset: build_family(name, {"preset": preset}) for preset in presets_of(name)}
    return f"{table([*facts], [[*facts.values()]])}\n{preset_table({'': family, **named})}"


def presets_of(name: str) -> list[str]:
    """The presets that a family takes."""
    taken = []
    for preset in PRESETS:
        try:
            build_family(name, {"preset": preset})
        except ValueError:
            continue
        taken.append(preset)
    return taken


def preset_table(families: dict[str, Family]) -> str:
    """A row a preset: the range of the tasks, and the weight of every term of the reward."""
    measured = {preset: weights(family) for preset, family in families.items()}
    terms = list(dict.fromkeys(term for found in measured.values() for term in found))
    rows = []
    for preset, family in families.items():
        kinds = family.task_space.parameters.items()
        tasks = "<br>".join(f"`{key}` {distribution(kind)}" for key, kind in kinds)
        found = [f"{measured[preset][term]:.3g}" if term in measured[preset] else "" for term in terms]
        rows.append([f"`{preset}`" if preset else "none", tasks, *found])
    return table(["preset", "task", *(f"`{term}`" for term in terms)], rows)


def distribution(kind: Any) -> str:
    """How a task parameter is drawn."""
    if isinstance(kind, LogUniform):
        return f"{kind.shape}, log-uniform in [{1 / kind.limit:.3g}, {kind.limit:.3g}]"
    if isinstance(kind, Disc):
        return f"uniform in the disc of radius {kind.radius:g}"
    if isinstance(kind, Choice):
        return " or ".join(f"{value:g}" for value in kind.values)
    if isinstance(kind, Heading):
        return "uniform in [0, 2 pi)"
    low, high = np.ravel(kind.low), np.ravel(kind.high)
    return f"uniform in [{low[0]:.3g}, {high[0]:.3g}]{'^2' * (len(low) == 2)}"


def weights(family: Family) -> dict[str, float]:
    """What every term is worth: of a unit of velocity or distance, a squared control or contact force.

    A bonus is worth itself, and SparsePoint's goal what it is worth to be there.
    """
    kinds, controls = family.task_space.parameters.items(), len(family.control_low)
    tasks: Tasks = {key: np.asarray([kind.default], dtype=np.float64) for key, kind in kinds}
    still = family.initial_state(np.random.default_rng(0))
    rest = _at(0.0, still)
    ahead, touched, nothing = _at(family.dt, still), _touched(rest), np.zeros((1, controls))

    def reward(term: str, after: State, control: Array = nothing) -> float:
        return float(family.reward_terms(rest, after, control, tasks)[term][0])

    def worth(term: str) -> float:
        if term == "reward_control":
            return reward(term, rest, np.ones((1, controls))) / controls
        if term == "reward_contact":
            return reward(term, touched) / rest.fields["cfrc_ext"].size
        if term in ("reward_direction", "reward_heading", "reward_forward"):
            return reward(term, ahead)
        if term in ("reward_healthy", "reward_bonus"):
            return reward(term, rest)
        if "angle" in tasks:
            goal = np.stack((np.cos(tasks["angle"]), np.sin(tasks["angle"])), axis=-1)
            return reward(term, rest._replace(qpos=goal))
        missed = np.abs(next(iter(tasks.values())))
        return reward(term, rest) / float(np.hypot(*missed[0]) if term == "reward_distance" else missed.sum())

    return {term: worth(term) for term in family.reward_terms(rest, rest, nothing, tasks)}


def _at(x: float, like: State) -> State:
    """A batch of one body at x, with the fields that families ask for."""
    qpos, qvel = np.zeros((1, len(like.qpos))), np.zeros((1, len(like.qvel)))
    com = np.zeros((1, 20, 3))
    qpos[:, 0] = com[..., 0] = x
    return State(qpos, qvel, {"subtree_com": com, "cfrc_ext": np.zeros((1, 20, 6))})


def _touched(state: State) -> State:
    forces = np.ones_like(state.fields["cfrc_ext"])
    return state._replace(fields={**state.fields, "cfrc_ext": forces})


def actuators(family: Family) -> str:
    """The range of the actuators, the same for all of a body."""
    ((low, high),) = set(zip(family.control_low.tolist(), family.control_high.tolist(), strict=True))
    return f"[{low:g}, {high:g}]"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
