"""Ranks that share out what they remember learn what one learns, and lose nothing with a rank."""

import signal

import numpy as np
import pytest
import torch
import yaml

import metarl
from metarl.math.parameters import flatten
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.files import PROGRESS
from tests.support.rank_cases import CASES
from tests.support.replayed import whole_replay
from tests.support.warm_commands import start_ranks


def ranks(number, config, folder, iterations):
    """A training that keeps checkpoints seldom, and goes on where it was."""
    words = ["--run_dir", folder, "--training.iterations", iterations, "--training.checkpoint_every", 100]
    return start_ranks(number, "train", config, *words, "--resume", "true", "--quiet")


def trained(number, config, folder, iterations):
    with ranks(number, config, folder, iterations) as running:
        for each in running:
            assert each.wait(250) == 0, each.stderr


def rows(folder):
    path = folder / PROGRESS
    return path.read_text().count("\n") - 1 if path.is_file() else 0


def killed_in_the_middle(number, config, folder, after):
    """The rows of a training whose last rank is killed."""
    with ranks(number, config, folder, 1000) as running:
        running[0].wait_until(lambda: rows(folder) >= after)
        running[-1].send_signal(signal.SIGKILL)
        for each in running:
            assert each.wait(120) != 0
    return rows(folder)


def check_same_memory(found, expected):
    """The same steps in the same order; numbers to rounding, as the policies that made them."""
    assert (found.length, found.dropped) == (expected.length, expected.dropped)
    for name in expected.columns:
        exact = not expected.columns[name].is_floating_point()
        one, other = found.column(name), expected.column(name)
        np.testing.assert_allclose(one, other, rtol=0, atol=0 if exact else 1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_rank_that_dies_takes_nothing_with_it_and_another_number_goes_on(tmp_path):
    """Without a checkpoint before the death: the first rank has all that the others remembered."""
    config, killed, whole = (tmp_path / name for name in ("config.yaml", "killed", "whole"))
    training = {**CASES["pearl"]["training"], "evaluate_every": 0, "evaluation_tasks": 4}
    sections = {**CASES["pearl"], "training": training, "run_dir": str(whole)}
    config.write_text(yaml.safe_dump(sections))
    done = killed_in_the_middle(3, config, killed, 2)
    assert load_checkpoint(killed).iteration == done >= 2
    trained(2, config, killed, done + 2)
    metarl.train(sections, overrides={"training.iterations": done + 2}, quiet=True)
    one, other = (load_checkpoint(folder) for folder in (killed, whole))
    assert one.iteration == other.iteration == done + 2
    found, expected = (flatten(each.state.parameters) for each in (one, other))
    assert (found - expected).norm() <= 1e-5 * expected.norm()
    check_same_memory(whole_replay(killed), whole_replay(whole))
    assert torch.unique(whole_replay(whole).column("trial")).tolist() == list(range(done + 2))
