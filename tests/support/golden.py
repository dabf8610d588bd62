"""Short trajectories of every registered id and preset, as they were: against drift.

`python -m tests.support.golden --write` records them anew, with the MuJoCo version; without the flag it
says which have changed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from tests.support.trajectories import CASES, Case, numbers, random_actions

FOLDER = Path(__file__).parents[1] / "envs/golden"
STEPS, DIGITS = 12, 9
# Another processor may differ in the last bit, which twelve steps with contacts do not raise to this;
# a coefficient or a body that changed does.
RELATIVE, ABSOLUTE = 1e-6, 1e-7


def file_of(case: Case) -> Path:
    return FOLDER / f"{case.env_id.removeprefix('metarl/').removesuffix('-v0')}.json"


def record(case: Case) -> dict[str, Any]:
    """First and last observation, and what every step told, of one environment with a drawn task."""
    envs = case.make_vec(1)
    start, info = envs.reset(seed=17, options={"tasks": case.tasks(1, seed=17)})
    told: dict[str, list[float]] = {"reward": []}
    for action in random_actions(envs, STEPS, seed=17) / 2:
        last, reward, terminated, truncated, info = envs.step(action)
        for name, value in {"reward": reward, **numbers(info)}.items():
            told.setdefault(name, []).append(float(value[0]))
        if terminated[0] or truncated[0]:
            break
    ended = "terminated" if terminated[0] else "truncated" if truncated[0] else "not"
    observations = {"first_observation": start[0].tolist(), "last_observation": last[0].tolist()}
    return {"ended": ended, **_shortened({**told, **observations})}


def _shortened(values: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [float(f"{x:.{DIGITS}g}") for x in listed] for name, listed in values.items()}


def difference(recorded: dict[str, Any], now: dict[str, Any]) -> str | None:
    """The first thing that is not as recorded, within the tolerance."""
    if recorded["ended"] != now["ended"] or recorded.keys() != now.keys():
        return f"ended {now['ended']} with {sorted(now)}, was {recorded['ended']} with {sorted(recorded)}"
    for name in (name for name in recorded if name != "ended"):
        old, new = np.array(recorded[name]), np.array(now[name])
        if old.shape != new.shape:
            return f"{name} has {len(new)} numbers, had {len(old)}"
        off = np.flatnonzero(~np.isclose(new, old, rtol=RELATIVE, atol=ABSOLUTE))
        if len(off):
            return f"{name}[{off[0]}] is {new[off[0]]}, was {old[off[0]]}"
    return None


def check(case: Case) -> None:
    """Raises an AssertionError that says what changed, and which MuJoCo recorded it."""
    remedy = "rewrite with `python -m tests.support.golden --write`"
    golden = json.loads(file_of(case).read_text()) if file_of(case).exists() else {}
    recorded = golden.get("trajectories", {}).get(str(case))
    if recorded is None:
        raise AssertionError(f"{case}: no trajectory recorded; {remedy}")
    changed = difference(recorded, record(case))
    if changed is not None:
        raise AssertionError(
            f"{case}: {changed}. Recorded with MuJoCo {golden['mujoco']}, this is {mujoco.__version__}: "
            f"if the change is MuJoCo's or meant, {remedy}"
        )


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path in {file_of(case): None for case in CASES}:
        trajectories = {str(case): record(case) for case in CASES if file_of(case) == path}
        lines = (
            f"  {json.dumps(name)}: {{\n"
            + ",\n".join(f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in recorded.items())
            + "\n  }"
            for name, recorded in trajectories.items()
        )
        head = f'{{\n "mujoco": {json.dumps(mujoco.__version__)},\n "trajectories": {{\n'
        path.write_text(head + ",\n".join(lines) + "\n }\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="record all trajectories anew")
    if parser.parse_args().write:
        write()
        return
    for case in CASES:
        try:
            check(case)
        except AssertionError as error:
            print(error)


if __name__ == "__main__":
    main()
