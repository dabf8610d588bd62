"""The site builds without a warning, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("mkdocs", reason="the site needs the extra docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_nothing_is_loaded_from_another_host(site):
    loading = r"<(?:script|img|iframe|source|link rel=.?stylesheet)[^>]*(?:src|href)=.?(?:https?:)?//"
    for page in site.rglob("*.html"):
        assert not re.search(loading, page.read_text()), page.relative_to(site)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet.relative_to(site)


def test_docstrings_are_on_the_pages(site):
    page = (site / "api/metarl.html").read_text()
    assert "Adapts to one task in an environment, with fresh episodes at every inner step." in page
