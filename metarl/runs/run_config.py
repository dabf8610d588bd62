"""What ties the files of a run to its config: a digest of all settings that decide what is learned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from metarl.errors import ConfigError, RunError
from metarl.experiment.config import read_saved_config
from metarl.experiment.experiments import AnyExperiment, RunConfig
from metarl.experiment.migration import migrated
from metarl.experiment.names import MODULE_KEYS, named_modules
from metarl.experiment.plain_yaml import dump_yaml, load_yaml
from metarl.experiment.scratch_section import ScratchConfig
from metarl.experiment.sections import SamplingConfig
from metarl.experiment.training_section import TrainingConfig
from metarl.runs.files import CONFIG, write_atomically

_SECTIONS: dict[str, type[SamplingConfig | TrainingConfig | ScratchConfig]] = {
    "sampling": SamplingConfig,
    "training": TrainingConfig,
    "from_scratch": ScratchConfig,
}
CHANGEABLE = {
    "run_dir",
    *(f"{section}.{key}" for section, settings in _SECTIONS.items() for key in settings.changeable),
}
"""Settings that may differ at a resume without changing what is learned, of the top level or of a section."""
_LENGTH = {"training.iterations", "training.environment_steps"}
"""Of a run: a resume may change it, but a longer run is no other seed of a shorter one."""


def config_digest(run_dir: Path) -> str:
    """Twelve characters of the SHA-256 of a run's config as it stands in its file, without what may change.

    Keys that the file lacks have no part in it: a later version, with more of them, finds the same digest.

    Raises:
        RunError: the file is missing or holds no config.
    """
    return _digest(run_dir, read_written(run_dir))


def config_digests(run_dir: Path) -> set[str]:
    """The digests by which files may be tied to a run's config: as it stands, and as this version reads it.

    Raises:
        RunError: as `config_digest`.
    """
    return {config_digest(run_dir), _digest(run_dir, read_mapping(run_dir))}


def _digest(run_dir: Path, values: Mapping[str, Any]) -> str:
    fixed = {
        key: {own: item for own, item in value.items() if f"{key}.{own}" not in CHANGEABLE}
        if isinstance(value, dict)
        else value
        for key, value in values.items()
        if key not in CHANGEABLE
    }
    try:
        text = json.dumps(fixed, sort_keys=True, default=repr)
    except TypeError as error:
        raise RunError(f"{run_dir / CONFIG}: expected keys that are text, got others: {error}") from error
    except ValueError as error:  # an integer of thousands of digits, written as 0x...
        raise RunError(f"{run_dir / CONFIG}: expected numbers of this package's size: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_mapping(run_dir: Path) -> dict[str, Any]:
    """The config in a run folder, as this version would write it.

    Raises:
        RunError: the file is missing or holds no mapping.
    """
    return migrated(read_written(run_dir))


def read_written(run_dir: Path) -> dict[str, Any]:
    """The config in a run folder, as it stands in its file, of whichever version.

    Raises:
        RunError: the file is missing or holds no mapping.
    """
    path = run_dir / CONFIG
    if not path.is_file():
        raise RunError(f"expected a run folder with {CONFIG}, found none in {run_dir}{_near(run_dir)}")
    try:
        values = load_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunError(f"expected a run folder with {CONFIG}, found none that can be read: {path}") from error
    if not isinstance(values, dict):
        raise RunError(f"{path}: expected sections (seed, environment, ...), got {values!r:.80}")
    return values


def with_changes(values: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config with the `CHANGEABLE` settings of another; the digest stays the same."""
    changed = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    for key in CHANGEABLE:
        section, _, own = key.rpartition(".")
        source = given.get(section, {}) if section else given
        if own in source:
            target = changed.setdefault(section, {}) if section else changed
            target[own] = source[own]
    return changed


def difference_but_seed(one: AnyExperiment, other: AnyExperiment) -> str | None:
    """How two configs differ in what runs of other seeds have in common: "key: expected ..., got ..."."""
    expected, got = (_flat(config.as_dict()) for config in (one, other))
    for key in {**expected, **got}:
        if key not in (CHANGEABLE | {"seed"}) - _LENGTH and expected.get(key) != got.get(key):
            return f"{key}: expected {expected.get(key)!r}, got {got.get(key)!r}"
    return None


def _near(run_dir: Path) -> str:
    """Where the run may be that was meant: inside of the folder, or beside it under a like name."""
    inside = sorted(str(found.parent) for found in run_dir.glob(f"*/{CONFIG}"))[:5]
    if inside:
        return f"; there are runs in it: {', '.join(inside)}"
    beside = [found.parent.name for found in run_dir.parent.glob(f"*/{CONFIG}")]
    alike = get_close_matches(run_dir.name, beside, n=1)
    return f"; did you mean {run_dir.parent / alike[0]}?" if alike else ""


def _flat(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Values by "section.key"."""
    flat: dict[str, Any] = {}
    for name, value in sections.items():
        inner = value if isinstance(value, dict) else {}
        flat |= {f"{name}.{key}": item for key, item in inner.items()} or {name: value}
    return flat


def load_run_config(run_dir: Path, *, trust: bool = False) -> AnyExperiment:
    """Reads the resolved config of a run folder.

    Args:
        trust: import the modules that it names; without, a config that names any is refused.

    Raises:
        RunError: the folder is missing or is no run, or it names a module and is not trusted.
    """
    named = named_modules(read_mapping(run_dir))
    if named and not trust:
        key, name = next(iter(named.items()))
        raise RunError(
            f"{key}: expected {MODULE_KEYS[key]}, got {name!r}, whose module would be imported: pass "
            "trust=True (--trust) if you trust this folder"
        )
    try:
        return read_saved_config(run_dir / CONFIG)
    except ConfigError as error:
        raise RunError(f"{run_dir} is not a run of this version of metarl: {error}") from error


def save_run_config(run_dir: Path, config: RunConfig) -> None:
    write_atomically(run_dir / CONFIG, dump_yaml(config.as_dict()).encode())
