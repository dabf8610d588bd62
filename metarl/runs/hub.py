"""Repositories of the Hugging Face Hub, from and to which folders of policies go; needs the extra "hub"."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from metarl.errors import RunError
from metarl.runs.files import CARD, CONFIG, POLICY

SCHEME = "hf:"
"""First part of a path that names a repository: hf://OWNER/NAME."""
_FILES = [POLICY, CONFIG, CARD]
_NAME = re.compile(r"\w[\w.-]*")


def repository_of(path: str | Path) -> str:
    """ "OWNER/NAME" of "hf://OWNER/NAME".

    Raises:
        RunError: it names no repository.
    """
    scheme, *names = Path(path).parts or ("",)
    if scheme != SCHEME or len(names) != 2 or not all(map(_NAME.fullmatch, names)):
        raise RunError(f"expected a repository of the Hugging Face Hub, hf://OWNER/NAME, got {path}")
    return "/".join(names)


def download(repository: str) -> Path:
    """The folder, in the Hub's cache, with the files of a repository's policy.

    Raises:
        RunError: the extra is not installed, or the repository cannot be had.
    """
    hub = check_installed()
    try:
        return Path(hub.snapshot_download(repo_id=repository, allow_patterns=_FILES))
    except Exception as error:  # those of the HTTP client, which is not the same in all versions, too
        raise RunError(
            f"expected the repository hf://{repository}, could not download it: {_line(error)}; check "
            "its name and, for a private one, log in by hf auth login"
        ) from error


def upload(folder: Path, repository: str, *, private: bool) -> None:
    """Puts the files of a folder into a repository, which is made if it is not there.

    Args:
        private: of a repository that is made, whether others can see it.

    Raises:
        RunError: the extra is not installed, or the repository cannot be written.
    """
    hub = check_installed()
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=_FILES)
    except Exception as error:  # as of `download`
        raise RunError(
            f"expected to write to hf://{repository}, could not: {_line(error)}; log in by hf auth login "
            "with a token that may write there"
        ) from error


def check_installed() -> Any:
    """The package huggingface_hub.

    Raises:
        RunError: the extra is not installed.
    """
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise RunError(
            'hf://: expected the package huggingface_hub, found none: pip install "metarl-control[hub]"'
        ) from error


def _line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return next(iter(f"{error}".strip().splitlines()), type(error).__name__)
