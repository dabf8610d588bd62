"""A config is sections of known keys and values of their types: nulls, classes and files are neither."""

import sys
from dataclasses import dataclass, field, is_dataclass
from types import NoneType
from typing import Any, get_args

import pytest
import yaml

from metarl.errors import ConfigError
from metarl.experiment.config import read_config, sections_of
from metarl.experiment.config_sections import field_types
from metarl.meta_learners.registry import META_LEARNERS, Registered
from metarl.meta_learners.reptile import ReptileConfig, reptile
from metarl.runs.run_config import load_run_config, save_run_config

every_learner = pytest.mark.parametrize("name", [*sorted(META_LEARNERS), "from_scratch"])


@pytest.fixture
def read(tmp_path, small_config_file):
    """({dotted key: value}, *overrides) -> config."""

    def changed(changes, *overrides):
        values = yaml.safe_load(small_config_file.read_text())
        if "from_scratch" in changes:
            del values["meta_learner"]
        for key, value in changes.items():
            *path, last = key.split(".")
            section = values
            for part in path:
                section = section.setdefault(part, {})
            section[last] = value
        (tmp_path / "changed.yaml").write_text(yaml.safe_dump(values))
        return read_config(tmp_path / "changed.yaml", overrides)

    return changed


def learner(name):
    """The section that chooses it, and sections whose keys are not for all learners without any."""
    if name == "from_scratch":
        return {"from_scratch": {}, "sampling": {}, "training": {}}
    return {"meta_learner": {"name": name}, "policy": {}}


def keys(name, sections=None, prefix=""):
    """(key, whether null is a value of it), sections among them."""
    for own, kind in (
        sections or {"seed": int, "run_dir": str, **sections_of(learner(name)).sections}
    ).items():
        yield f"{prefix}{own}", NoneType in get_args(kind)
        if is_dataclass(kind):
            yield from keys(name, field_types(kind), f"{prefix}{own}.")


@every_learner
@pytest.mark.parametrize("given", ["file", "override"])
def test_null_is_no_value_of_any_key_that_does_not_say_so(read, name, given):
    taken = {key for key, optional in keys(name) if optional}
    errors = {}
    for key in (key for key, _ in keys(name)):
        try:
            read({**learner(name), key: None}) if given == "file" else read(learner(name), f"--{key}", "null")
        except ConfigError as error:
            errors[key] = str(error)
    assert set(errors) == {key for key, _ in keys(name)} - taken
    assert len(errors) >= 40
    for key, message in errors.items():
        assert f" {key}: expected " in f" {message}"
        assert message.endswith(("got None", "got 'null'"))
        assert "\n" not in message


@pytest.mark.parametrize(("words", "found"), [((), "None"), (("--meta_learner.name", "null"), "'null'")])
def test_null_is_no_meta_learner(read, words, found):
    with pytest.raises(
        ConfigError, match=rf"meta_learner\.name: expected one of \[.*\], or my_package:Thing, got {found}$"
    ):
        read({"meta_learner.name": None}, *words)


def test_a_null_among_an_environments_options_is_its_own_business(read, tmp_path):
    assert read({"environment.options": {"preset": None}}).environment.options == {"preset": None}
    assert read({}, "--environment.options.preset", "null").environment.options == {"preset": None}


def test_what_is_expected_stands_in_the_line(read):
    with pytest.raises(
        ConfigError, match=r"policy\.activation: expected one of \['tanh', 'relu'\], got None"
    ):
        read({"policy.activation": None})
    with pytest.raises(ConfigError, match=r"meta_learner: expected a section of keys, got None"):
        read({"meta_learner": None})


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that leaves a mark where it is imported; checks that it was not."""
    mark = tmp_path / "mark"
    text = f"open({str(mark)!r}, 'w').close()\nclass Trap:\n    def __init__(self, **settings): pass\n"
    (tmp_path / "set_trap.py").write_text(text)
    (tmp_path / "section.yaml").write_text("discount: 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield {"class_path": "set_trap.Trap", "init_args": {"discount": 0.5}}
    assert not mark.exists()
    assert "set_trap" not in sys.modules


@pytest.mark.parametrize(
    "section", ["sampling", "sampling.advantages", "meta_learner.trust_region", "training", "policy"]
)
def test_a_section_is_a_mapping_of_known_keys_and_nothing_else(read, tmp_path, trap, section):
    path = str(tmp_path / "section.yaml")
    for found in ("set_trap.Trap", path, 7, [1]):
        with pytest.raises(ConfigError, match=f"{section}: expected a section of keys, got ") as raised:
            read({section: found})
        assert str(raised.value).endswith(repr(found))
    for found in ("set_trap.Trap", path):
        with pytest.raises(ConfigError, match=f"{section}: expected a section of keys, got '{found}'"):
            read({}, f"--{section}", found)
    for key in ("class_path", "__path__", "__default_config__", 3, "discount.x", "config", "help"):
        with pytest.raises(ConfigError, match=rf"{section}\.{key}: no such key; "):
            read({section: {key: "set_trap.Trap"}})
        with pytest.raises(ConfigError, match=rf"{section}\.{key}: no such key; "):
            read({}, f"--{section}.{key}", "set_trap.Trap")
    with pytest.raises(ConfigError, match=r"^config: no such key"):
        read({}, "--config", path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("key", ["training.figures", "sampling.tasks", "policy.activation"])
def test_aliases_of_aliases_are_not_written_out(read, key):
    levels = [f"&a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(30)]
    with pytest.raises(ConfigError, match=rf"^{key}: expected at most 100,000 values, .* aliases") as raised:
        read({}, f"--{key}", f"[&a0 [lol, lol], {', '.join(levels)}]")
    assert len(str(raised.value)) < 200


def test_options_arrive_as_plain_data_however_they_look(read, trap, tmp_path):
    options = {"a": trap, "b": [trap], "c": "{class_path: set_trap.Trap}", "d": "3", "e": "null", **trap}
    config = read({"environment.options": options})
    assert config.environment.options == options
    save_run_config(tmp_path, config)
    assert load_run_config(tmp_path).environment.options == options
    word = yaml.safe_dump(options, default_flow_style=True)
    assert read({}, "--environment.options", word).environment.options == options
    nested = read({}, "--environment.options.a.b", str(trap), "--environment.options.c=2")
    assert nested.environment.options == {"preset": "maml", "a": {"b": trap}, "c": 2}


def test_settings_of_an_algorithm_are_plain_data_and_numbers_are_numbers(read, trap, tmp_path):
    settings = {"policy_kwargs": trap}
    with pytest.raises(ConfigError, match=r"got \['policy_kwargs'\]"):
        read({**learner("from_scratch"), "from_scratch": {"settings": settings}})
    settings = {"clip_range": trap, "learning_rate": 0.001}
    changes = {**learner("from_scratch"), "from_scratch": {"settings": settings}}
    assert read(changes).from_scratch.settings == settings
    (tmp_path / "rate.yaml").write_text(
        "environment: {id: a, horizon: 3}\nrun_dir: b\n"
        "from_scratch: {settings: {learning_rate: 1e-3, gamma: '1e-3'}}\n"
    )
    config = read_config(tmp_path / "rate.yaml", ["--from_scratch.settings.clip_range", "2e-1"])
    expected = {"learning_rate": 0.001, "gamma": "1e-3", "clip_range": 0.2}
    assert config.from_scratch.settings == expected
    save_run_config(tmp_path, config)
    assert load_run_config(tmp_path).from_scratch.settings == expected


@dataclass(frozen=True)
class OpenConfig(ReptileConfig):
    anything: Any = None
    several: dict[str, Any] = field(default_factory=dict)


def test_a_setting_of_any_type_is_plain_data(read, trap, monkeypatch):
    monkeypatch.setitem(META_LEARNERS, "open", Registered(OpenConfig, reptile))
    learner = read({"meta_learner": {"name": "open", "anything": trap, "several": {"x": trap}}}).meta_learner
    assert (learner.anything, learner.several) == (trap, {"x": trap})
    word = read({}, "--meta_learner.name", "open", "--meta_learner.anything", str(trap)).meta_learner
    assert word.anything == trap


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--environment.options"], r"environment\.options: expected one value, got \[\]"),
        (["--environment.options", "{}", "{}"], r"environment\.options: expected one value, got"),
        (
            ["--environment.options", "[1]"],
            r"environment\.options: expected a value of type dict, got '",
        ),
        (["--environment.options.preset.x", "1"], "preset.x: expected a mapping that holds it, got 'maml'"),
        (["stray"], "stray"),
        (["stray", "--seed", "1"], "stray"),
    ],
)
def test_words_that_do_not_fit_are_told(read, words, message):
    with pytest.raises(ConfigError, match=message):
        read({}, *words)


def test_data_that_hold_themselves_are_refused(tmp_path, small_config_file):
    text = small_config_file.read_text().replace("preset: maml", "preset: maml\n    self: *options")
    (tmp_path / "round.yaml").write_text(text.replace("options:", "options: &options"))
    with pytest.raises(
        ConfigError, match=r"expected YAML: expected at most 50 levels of data, got .* hold themselves"
    ):
        read_config(tmp_path / "round.yaml")
