"""The configs that come with the package."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from metarl.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]
CONFIGS = next(folder for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if folder.is_dir())
"""In the installed package, or in a checkout beside it."""


def shipped_configs() -> list[str]:
    """Their names: "quickstart", "point_navigation/maml_trpo", ..."""
    return sorted(str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.yaml"))


def find_config(name: str | Path) -> Path:
    """The file of that name, if it has an ending or is there, or the shipped config.

    Raises:
        ConfigError: neither a file nor a shipped config.
    """
    path = Path(name)
    if path.is_file() or path.suffix:
        return path
    shipped = shipped_configs()
    if str(name) in shipped:
        return CONFIGS / f"{name}.yaml"
    near = get_close_matches(str(name), shipped, n=1)
    known = f"did you mean {near[0]}?" if near else f"they are {shipped}"
    raise ConfigError(f"expected a config file, or the name of a shipped config, got {name}; {known}")
