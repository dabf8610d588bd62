"""Every metric that a run writes is in the glossary, and every one there is written."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from metarl.meta_learners.registry import META_LEARNERS
from metarl.training.tensorboard.glossary import ENTRIES, describe
from metarl.training.tensorboard.tags import iteration_points, tag_of

ROOT = Path(__file__).parents[1]
METRICS, _, BOARD = (
    (ROOT / "docs/glossary.md").read_text().partition("## Metrics")[2].partition("### In TensorBoard alone")
)
NAMES = re.findall(r"^\| `([^`]+)` \|", METRICS, re.MULTILINE)
PATTERNS = [re.sub("NAME$", ".+", re.sub("K(?=_|$)", r"\\d+", name)) for name in NAMES]
OWN = {"promp": {"kl_target": 0.01}}
POLICIES = {
    "rl2": {"name": "gru", "hidden_size": 4},
    "varibad": {"name": "belief", "hidden_size": 4},
    "pearl": {"name": "posterior", "hidden_sizes": [4]},
    "recurrent_sac": {"name": "squashed_gru", "hidden_size": 4},
}


def test_the_glossary_has_what_runs_write_and_nothing_else(train_small, small_config_file, tmp_path):
    values = yaml.safe_load(small_config_file.read_text())
    values["training"] |= {"iterations": 1, "evaluate_every": 1}
    written = set()
    for learner in META_LEARNERS:
        own = {"name": learner, **OWN.get(learner, {})}
        policy = POLICIES.get(learner, values["policy"])
        small_config_file.write_text(yaml.safe_dump({**values, "policy": policy, "meta_learner": own}))
        train_small("--run_dir", str(tmp_path / learner))
        with (tmp_path / learner / "progress.csv").open(newline="") as file:
            written.update(next(csv.reader(file)))
    assert not {column for column in written if not any(re.fullmatch(one, column) for one in PATTERNS)}
    assert not {one for one in PATTERNS if not any(re.fullmatch(one, column) for column in written)}


def test_every_tag_of_tensorboard_is_in_the_glossary():
    rows = re.findall(r"^\| (`.*?) \|", BOARD, re.MULTILINE)
    alone = {tag for row in rows for tag in re.findall("`([^`]+)`", row)}
    of_columns = {tag_of(name.replace("NAME", "LEARNED")) for name in NAMES}
    assert set(ENTRIES) - of_columns == alone


def test_every_column_of_the_glossary_says_in_tensorboard_what_it_means():
    columns = {name.replace("NAME", "LEARNED"): 0.0 for name in NAMES if name != "iteration"}
    assert not {*iteration_points(columns)} - {*ENTRIES}


def test_every_entry_says_what_is_sick():
    assert not {tag for tag, entry in ENTRIES.items() if not (entry.meaning.strip() and entry.sick.strip())}
    rows = re.findall(r"^\| `.*\|$", METRICS + BOARD, re.MULTILINE)
    assert rows
    assert not [row for row in rows if not row.split("|")[-2].strip()]


def test_a_logarithm_is_not_told_to_be_sick_below_0():
    assert "`step_size.log` is a size's logarithm" in describe("health/update/mean_of_step_size.log")


@pytest.mark.parametrize("page", ["charts", "adaptation_fails"])
def test_pages_name_tags_and_columns_that_exist(page):
    text = (ROOT / f"docs/how_to/{page}.md").read_text()
    groups = {name.partition("/")[0] for name in (*ENTRIES, *NAMES) if "/" in name}
    named = set(re.findall(rf"`((?:{'|'.join(groups)})/[\w/]+)`", text))
    assert named
    assert not named - {*ENTRIES, *NAMES}
