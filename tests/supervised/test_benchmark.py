"""The benchmark of updates on labelled examples measures the same work."""

import sys

import pytest
import torch

from metarl.benchmarks.examples import loop
from metarl.command import main
from metarl.experiment.config import read_config
from metarl.supervised.examples import keyed_generator, repeated
from metarl.supervised.learners.maml import descent
from metarl.training.examples.build import build_supervised
from tests.support.tiny_supervised import tiny_values


@pytest.mark.parametrize("steps", [1, 2])
def test_the_loop_finds_the_updates_gradient(tmp_path, steps):
    built = build_supervised(read_config(tiny_values(tmp_path, inner_steps=[steps])))
    theta = built.learner.initial_parameters(torch.Generator().manual_seed(0))
    episodes = built.source.draw("train", 3, keyed_generator(1))
    rule = descent(built.model, built.config.learner)
    found = rule.gradient(theta, repeated(episodes, steps), built.model.gain, built.task_map).gradient
    for name, expected in loop(built, theta, episodes).items():
        torch.testing.assert_close(-found[name], expected, rtol=1e-4, atol=1e-5)


def test_the_command_tells_the_ratios(monkeypatch, capsys):
    words = ["examples", "--config", "sinusoid/maml", "--repeats", "1", "--training.tasks", "4"]
    monkeypatch.setattr(sys, "argv", ["metarl", "benchmark", *words])
    assert main() == 0
    out = capsys.readouterr().out
    assert "sinusoid, mlp: 4 tasks" in out
    assert "loop over tasks by create_graph" in out


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("quickstart", "learner: expected this section to measure, found none; try --config glyphs/maml"),
        ("sinusoid/reptile", "learner.name: expected maml to measure, got reptile"),
    ],
)
def test_what_cannot_be_measured_is_one_line(monkeypatch, capsys, config, message):
    monkeypatch.setattr(sys, "argv", ["metarl", "benchmark", "examples", "--config", config])
    assert main() == 2
    assert message in capsys.readouterr().err
