"""Whatever is wrong in a config: it is read, and reads the same again, or one line tells what is wrong."""

import os
from pathlib import Path

import pytest

from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.experiments import ExperimentConfig
from metarl.experiment.plain_yaml import dump_yaml
from metarl.training.memory_needed import check_memory
from tests.support.mutated_configs import Mutant, mutants
from tests.support.told import refusal
from tests.support.wrong_values import CANARY


def _take(mutant: Mutant) -> None:
    """All that `metarl train` does with a config before it makes a folder, and the building of its parts."""
    path, again = Path("config.yaml"), Path("again.yaml")
    path.write_bytes(mutant.text.encode(errors="surrogatepass"))
    config = read_config(path, mutant.overrides)
    assert read_config(config.as_dict()) == config
    again.write_text(dump_yaml(config.as_dict()))
    assert read_config(again) == config
    if isinstance(config, ExperimentConfig):
        check_memory(config)
        build_experiment(config)


@pytest.mark.parametrize(
    ("number", "seed"),
    [(120, 0), pytest.param(10_000, 1, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_a_mutated_config_is_read_or_told_in_one_line(tmp_path, monkeypatch, number, seed):
    monkeypatch.chdir(tmp_path)
    told = 0
    for index, mutant in enumerate(mutants(seed, number)):
        try:
            told += refusal(lambda mutant=mutant: _take(mutant)) is not None
        except AssertionError as error:
            pytest.fail(
                f"mutant {index} of seed {seed}: {error}\n{mutant.text[:500]!r}\n{mutant.overrides!a:.500}"
            )
    assert number / 2 < told < number
    assert set(os.listdir()) <= {"config.yaml", "again.yaml"}
    assert CANARY not in os.listdir()
