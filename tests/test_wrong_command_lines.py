"""A command line that is wrong is told in one line: the option, what was expected, what was got."""

import sys

import pytest

from metarl.command import COMMANDS, main

REQUIRED = {
    "train": ["quickstart"],
    "adapt": ["RUN"],
    "evaluate": ["RUN"],
    "diagnose": ["zoo/point_navigation"],
    "render": ["RUN", "--output", "a.gif"],
    "compare": ["quickstart", "--budget", "10"],
    "benchmark": ["update", "--config", "quickstart"],
    "sinusoid": [],
    "zoo": [],
    "push": ["RUN", "hf://me/mine"],
}


@pytest.fixture
def told(monkeypatch, capsys):
    """(*words) -> the one line by which the command refuses them."""

    def told(*words):
        monkeypatch.setattr(sys, "argv", ["metarl", *words])
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        shown = capsys.readouterr()
        assert (code, shown.out) == (2, "")
        (line,) = shown.err.splitlines()
        return line

    return told


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("evaluate", ["--episodes", "x"], "--episodes: expected an integer > 0, got 'x'"),
        ("adapt", ["--episodes", "-1"], "--episodes: expected an integer > 0, got '-1'"),
        ("diagnose", ["--rounds", "1"], "--rounds: expected two or more, got 1"),
        ("adapt", ["--seed", "-1"], "--seed: expected an integer >= 0, got '-1'"),
        ("evaluate", ["--later_step_scale", "0"], "--later_step_scale: expected a number > 0, got '0'"),
        ("compare", ["--target", "x"], "--target: expected a number, got 'x'"),
        ("train", ["--seeds", "1", "x"], "--seeds: expected an integer >= 0, got 'x'"),
        ("train", ["--resume", "yes"], "--resume: expected one of "),
        ("evaluate", ["--protocol", "x"], "--protocol: expected one of "),
        ("train", ["--config", "b"], "argument --config: expected one config, got several"),
        ("render", ["--length"], "--length: expected a value, got none"),
        ("sinusoid", ["--quiet=x"], "--quiet: expected no value, got 'x'"),
        ("evaluate", ["--ep", "3"], "expected the arguments of this command, got --ep 3"),
        (
            "evaluate",
            ["--task", "3"],
            "expected the arguments of this command, got --task 3; did you mean --tasks?",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_option(told, name, words, message):
    line = told(name, *REQUIRED[name], *words)
    assert line.startswith(f"error: {message}")
    assert line.endswith(f"; metarl {name} --help tells more")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"train", "benchmark"}))
def test_an_unknown_option_is_told(told, name):
    line = told(name, *REQUIRED[name], "--flag=3")
    expected = "error: expected the arguments of this command, got --flag=3"
    assert line == f"{expected}; metarl {name} --help tells more"


@pytest.mark.parametrize("name", ["train", "benchmark"])
def test_an_unknown_key_is_told(told, name):
    assert "flag: no such key; " in told(name, *REQUIRED[name], "--flag", "3")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("train", "a config: a file, or one of "),
        ("adapt", "run_dir, got nothing"),
        ("evaluate", "run_dir, got nothing"),
        ("diagnose", "run_dir, got nothing"),
        ("render", "--output, got nothing"),
        ("compare", "configs, --budget, got nothing"),
        ("benchmark", "verb, --config, got nothing"),
    ],
)
def test_what_is_missing_is_told(told, name, missing):
    assert told(name).startswith(f"error: expected {missing}")


def test_what_has_line_breaks_is_told_in_one(told):
    assert told("adapt", "RUN", "--one\ntwo").startswith(
        "error: expected the arguments of this command, got --one two;"
    )


def test_an_unknown_command_is_told(told):
    expected = f"expected one of the commands {', '.join(COMMANDS)}"
    assert told("trian") == f"error: {expected}, got 'trian'; metarl --help tells more"
