"""`metarl benchmark growth` measures iterations of ever more tasks."""

import metarl
from metarl.benchmarks.growth import growth
from tests.conftest import SMALL


def test_every_row_is_an_iteration_of_so_many_tasks():
    config = metarl.read_config({**SMALL, "run_dir": "unused"})
    rows = growth(config, 1, factors=(1, 2))
    assert [row["name"] for row in rows] == ["3 tasks", "6 tasks"]
    assert all(row["median"] > 0 and row["peak_mib"] > 10 for row in rows)
