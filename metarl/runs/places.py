"""Where the policy is that a word names: a path, the zoo's zoo/NAME, or the Hub's hf://OWNER/NAME."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from metarl.errors import RunError
from metarl.runs.files import POLICY
from metarl.runs.hub import SCHEME, download, repository_of

ZOO = Path(__file__).parents[1] / "zoo"
"""The meta-policies that come with the package, a folder each."""
SEED_FOLDER = re.compile(r"seed[_=]?\d+")
"""Names of folders that hold a run among others of its config."""
_ZOO_WORD = "zoo"
_RESULTS = Path("runs")


def zoo_names(zoo: Path = ZOO) -> list[str]:
    """Names of the meta-policies in a zoo's folder: "point_navigation", ..."""
    return sorted(path.parent.name for path in zoo.glob(f"*/{POLICY}"))


def find_place(path: str | Path) -> Path:
    """The folder or file of a policy. What is there under that path comes first, in the working directory.

    Raises:
        RunError: the zoo has no policy of that name, or the Hub's cannot be had.
    """
    given = Path(path)
    if given.exists():
        return given
    scheme, *names = given.parts or ("",)
    if scheme == SCHEME:
        return download(repository_of(given))
    if scheme != _ZOO_WORD:
        return given
    return find_in_zoo("/".join(names))


def find_in_zoo(name: str) -> Path:
    """The folder of a meta-policy that comes with the package.

    Raises:
        RunError: there is none of that name.
    """
    known = zoo_names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean zoo/{near[0]}?" if near else ""
        raise RunError(f"expected one of the zoo's policies {known}, or a folder, got zoo/{name}{hint}")
    return ZOO / name


def results_folder(path: Path) -> Path:
    """The folder that takes a policy's evaluations and adaptations: its own, if that is there.

    What is done with zoo/NAME goes to runs/zoo/NAME of the working directory, with hf://OWNER/NAME to
    runs/hf/OWNER/NAME: neither the package nor the Hub's cache is written.
    """
    scheme, *names = path.parts or ("",)
    if path.exists() or scheme not in (_ZOO_WORD, SCHEME):
        return path
    return _RESULTS.joinpath(scheme.removesuffix(":"), *names)
