"""The citation has what the Citation File Format 1.2.0 requires, and the package's version and address."""

from pathlib import Path

import yaml

import metarl

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
AUTHOR_KEYS = ({"name"}, {"given-names", "family-names"})
"""An organisation has a name, a person the other two."""


def test_what_the_schema_requires():
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] in ("software", "dataset")
    for key in ("message", "title", "version", "license"):
        assert isinstance(CITATION[key], str)
        assert CITATION[key]
    assert CITATION["authors"]
    assert all(any(keys <= set(author) for keys in AUTHOR_KEYS) for author in CITATION["authors"])


def test_it_agrees_with_the_package():
    project = (ROOT / "pyproject.toml").read_text()
    assert CITATION["version"] == metarl.__version__
    assert f'Source = "{CITATION["repository-code"]}"' in project
    assert f'license = "{CITATION["license"]}"' in project
    assert f'authors = [{{ name = "{CITATION["authors"][0]["name"]}" }}]' in project
