"""The pages lead where they say, and the reference lists everything that it should."""

import re
from pathlib import Path

import metarl_envs
import pytest

import metarl
from metarl.experiment.config import read_config
from metarl.experiment.shipped import CONFIGS, shipped_configs

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
REFERENCE = (ROOT / "docs/reference.md").read_text()


def prose(page):
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        times = sum(re.fullmatch(re.escape(slug) + r"(-\d+)?", one) is not None for one in found)
        found.append(f"{slug}-{times}" if times else slug)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = [*re.findall(r"\]\(([^)\s]+)\)", prose(page)), *re.findall(r'src="([^"]+)"', prose(page))]
    for link in links:
        target, _, anchor = link.partition("#")
        if target.startswith(("http:", "https:")):
            continue
        found = page.parent / target if target else page
        assert found.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(found), f"{page.name}: {link}"


def test_links_that_lead_nowhere_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n## MAML\n## MAML++\n[here](#maml-1)\n")
    test_every_link_leads_somewhere(page)
    for wrong in ("[there](#maml-2)", "[there](missing.md)", '<img src="missing.png">'):
        page.write_text(f"# A page\n{wrong}\n")
        with pytest.raises(AssertionError, match=r"page\.md: "):
            test_every_link_leads_somewhere(page)


def test_every_page_can_be_reached_from_the_readme():
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        seen.add(page)
        targets = [page.parent / link for link in re.findall(r"\]\(([^)#\s]+\.md)", prose(page))]
        left += [found.resolve() for found in targets if found.resolve() not in seen]
    assert seen == set(PAGES)


@pytest.mark.parametrize(
    ("package", "name"),
    [(package.__name__, name) for package in (metarl, metarl_envs) for name in package.__all__],
)
def test_every_public_name_is_in_the_reference(package, name):
    assert re.search(rf"`({package}\.)?{name}\b", REFERENCE)


@pytest.mark.parametrize("package", [metarl, metarl_envs], ids=lambda package: package.__name__)
def test_every_public_name_is_on_an_api_page(package):
    page = (ROOT / f"docs/api/{package.__name__}.md").read_text()
    listed = re.findall(rf"^::: {package.__name__}\.(\w+)$", page, re.MULTILINE)
    assert set(package.__all__) == set(listed)
    assert len(set(listed)) == len(listed)


def keys(section, prefix=""):
    for name, value in section.items():
        if isinstance(value, dict) and value and name not in ("options", "settings"):
            yield from keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_key_of_a_config_is_in_the_reference():
    configs = [read_config(CONFIGS / f"{name}.yaml").as_dict() for name in shipped_configs()]
    missing = {key for config in configs for key in keys(config) if f"`{key}`" not in REFERENCE}
    assert not missing


def test_the_reference_lists_every_key_once():
    keys = re.findall(r"^\| `(\w+\.[\w.]+)` \|", REFERENCE, re.MULTILINE)
    assert len(keys) > 40
    assert len(keys) == len(set(keys))
