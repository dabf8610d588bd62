"""Plants small bugs one at a time and tells which of them no quick test sees:
python scripts/mutate.py [--modules metarl/math ...] [--sample N] [--seed S] [--output FILE.json]."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from mutation_runs import Outcome, Task, preload, run_all
from mutations import Mutant, mutants
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
MAPPING = ROOT / "scripts" / "mutate.yaml"
UNCHANGED_SECONDS = 600.0
FACTOR, LEAST_SECONDS = 3.0, 5.0
"""A mutant's tests may take this many times what they take without it, and these seconds more."""
VERDICTS = {"failed": "killed", "timed out": "timed out", "passed": "survived"}


class MappingError(Exception):
    """The mapping, or its tests, cannot be used."""


@dataclass(frozen=True)
class Judged:
    """A mutant and what its tests said of it."""

    mutant: Mutant
    outcome: Outcome

    @property
    def verdict(self) -> str:
        return VERDICTS[self.outcome.verdict]

    def as_dict(self) -> dict[str, object]:
        return {
            "file": self.mutant.path,
            "line": self.mutant.line,
            "verdict": self.verdict,
            "seconds": round(self.outcome.seconds, 2),
            "diff": self.mutant.diff,
            "failure": "" if self.verdict == "survived" else self.outcome.failure,
        }


def read_mapping(path: Path, root: Path) -> dict[str, list[str]]:
    """Source file -> the tests that hold it, the likeliest to fail first.

    Raises:
        MappingError: it is no such mapping, or a source file is not there.
    """
    try:
        mapping = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise MappingError(f"expected a mapping of files to tests, got {path}: {error}") from error
    for source, tests in mapping.items():
        if not (root / source).is_file():
            raise MappingError(f"{path}: expected source files below {root}, got {source}")
        if not (isinstance(tests, list) and tests):
            raise MappingError(f"{path}: {source}: expected a list of tests, got {tests!r}")
    return dict(mapping)


def chosen(mapping: Mapping[str, Sequence[str]], modules: Sequence[str]) -> list[str]:
    """The mapped files that are, or lie below, the named ones; all if none is named.

    Raises:
        MappingError: a name fits none.
    """
    for name in modules:
        if not any(Path(source).is_relative_to(name) for source in mapping):
            raise MappingError(f"--modules: expected files or folders of the mapping, got {name}")
    return [s for s in mapping if not modules or any(Path(s).is_relative_to(name) for name in modules)]


def sampled(found: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """So many mutants, spread over the files as all are, at least one of each; all if there are no more."""
    if not size or size >= len(found):
        return list(found)
    rng, by_file = random.Random(seed), dict[str, list[Mutant]]()
    for mutant in found:
        by_file.setdefault(mutant.path, []).append(mutant)
    kept = []
    for group in by_file.values():
        kept += rng.sample(group, max(1, round(size * len(group) / len(found))))
    return kept


def time_tests(root: Path, tests: Sequence[str], jobs: int, scratch: Path) -> dict[str, float]:
    """Seconds of every test list's entry without a mutation.

    Raises:
        MappingError: one of them fails.
    """
    tasks, seconds = [Task([entry], UNCHANGED_SECONDS) for entry in tests], dict[str, float]()
    scratch.mkdir()
    outcomes = run_all(root, tasks, jobs, scratch)
    for number, outcome in tqdm(outcomes, desc="tests without a mutation", total=len(tasks), unit="file"):
        if outcome.verdict != "passed":
            raise MappingError(f"expected {tests[number]} to pass without a mutation, got {outcome.failure}")
        seconds[tests[number]] = outcome.seconds
    return seconds


def judge(
    root: Path, found: Sequence[Mutant], mapping: Mapping[str, Sequence[str]], jobs: int
) -> tuple[list[Judged], dict[str, float]]:
    """Every mutant's verdict, and the seconds of the tests without one."""
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        preload(root, scratch / "caches")
        used = dict.fromkeys(test for mutant in found for test in mapping[mutant.path])
        seconds = time_tests(root, list(used), jobs, scratch / "unchanged")
        tasks = []
        for mutant in found:
            tests = mapping[mutant.path]
            limit = LEAST_SECONDS + FACTOR * sum(seconds[test] for test in tests)
            tasks.append(Task(tests, limit, (mutant.path, mutant.source)))
        judged, count = dict[int, Judged](), Counter[str]()
        (scratch / "mutants").mkdir()
        bar = tqdm(run_all(root, tasks, jobs, scratch / "mutants"), total=len(tasks), unit="mutant")
        for number, outcome in bar:
            judged[number] = Judged(found[number], outcome)
            count[judged[number].verdict] += 1
            bar.set_postfix(count)
            if judged[number].verdict == "survived":
                tqdm.write(f"{found[number].path}:{found[number].line}\n{found[number].diff}")
    return [judged[number] for number in sorted(judged)], seconds


def report(judged: Sequence[Judged]) -> str:
    """A line per file, and all."""
    lines = [f"{'':44}{'mutants':>9}{'killed':>9}{'timed out':>11}{'survived':>10}{'score':>8}"]
    files = dict.fromkeys(one.mutant.path for one in judged)
    for name in [*files, "all"]:
        count = Counter(one.verdict for one in judged if name in ("all", one.mutant.path))
        killed, late, survived = count["killed"], count["timed out"], count["survived"]
        total = killed + late + survived
        share = (killed + late) / total if total else 1.0
        lines.append(f"{name:44}{total:9}{killed:9}{late:11}{survived:10}{share:8.1%}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--modules", nargs="+", default=[], help="mapped files or folders; all by default")
    parser.add_argument("--sample", type=int, default=0, help="mutants, drawn from all; 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at once")
    parser.add_argument("--mapping", type=Path, default=MAPPING, help="YAML: source file -> its tests")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of sources and tests")
    parser.add_argument("--output", type=Path, help="JSON of every mutant")
    options = parser.parse_args()
    if options.sample < 0 or options.jobs < 1:
        parser.error("expected --sample of at least 0 and --jobs of at least 1")
    root = options.root.resolve()
    try:
        mapping = read_mapping(options.mapping, root)
        files = chosen(mapping, options.modules)
        every = [mutant for file in files for mutant in mutants(file, (root / file).read_text())]
        found = sampled(every, options.sample, options.seed)
        judged, seconds = judge(root, found, mapping, options.jobs)
    except MappingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(judged))
    if options.output:
        result = {"tests": seconds, "mutants": [one.as_dict() for one in judged]}
        options.output.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
