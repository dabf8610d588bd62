"""`inner_step_size: auto` stands for a size that is found and learned, wherever it is said."""

import pytest

import metarl
from metarl.errors import ConfigError

AUTO = "meta_learner.inner_step_size"
LEARN, KL = "meta_learner.learn_step_size", "meta_learner.first_step_kl"


def learned(source="quickstart", overrides=()):
    settings = metarl.read_config(source, overrides).meta_learner
    return settings.inner_step_size, settings.learn_step_size, settings.first_step_kl


def in_a_file(**keys):
    values = metarl.read_config("quickstart").as_dict()
    values["meta_learner"] = {"name": "maml", "inner_step_size": "auto", **keys}
    return values


@pytest.mark.parametrize("overrides", [{AUTO: "auto"}, [f"--{AUTO}", "auto"], [f"--{AUTO}=auto"]], ids=str)
@pytest.mark.parametrize("source", ["name", "saved"])
def test_an_override_finds_and_learns_the_size(source, overrides):
    config = "quickstart" if source == "name" else metarl.read_config("quickstart").as_dict()
    assert learned(config, overrides) == (0.1, True, 0.3)


def test_so_does_a_file_and_promp():
    assert learned(in_a_file()) == (0.1, True, 0.3)
    assert learned("point_navigation/promp", {AUTO: "auto"})[1:] == (True, 0.3)


def test_another_divergence_holds():
    assert learned(in_a_file(first_step_kl=0.1)) == (0.1, True, 0.1)
    assert learned(in_a_file(), [f"--{KL}", "0.1"]) == (0.1, True, 0.1)
    assert learned("quickstart", [f"--{AUTO}", "auto", f"--{KL}", "0.1"]) == (0.1, True, 0.1)


@pytest.mark.parametrize(
    "overrides", [{AUTO: 0.2}, [f"--{AUTO}", "0.2"], [f"--{AUTO}=auto", f"--{AUTO}=0.2"]]
)
def test_a_number_that_overrides_it_is_fixed(overrides):
    assert learned(in_a_file(), overrides) == (0.2, False, 0.0)


@pytest.mark.parametrize("said", ["in the file", "by a word", "by words alone"])
def test_the_contrary_beside_it_is_refused(said):
    source = in_a_file(**({"learn_step_size": False} if said == "in the file" else {}))
    words = [f"--{LEARN}", "False"] if "word" in said else []
    if said == "by words alone":
        source, words = "quickstart", [f"--{AUTO}", "auto", *words]
    with pytest.raises(
        ConfigError, match=f"{LEARN}: expected true with {AUTO} auto, got false; leave one out"
    ):
        learned(source, words)


@pytest.mark.parametrize(("key", "no", "yes"), [(LEARN, False, "true"), (KL, 0, "more than 0")])
@pytest.mark.parametrize("said", ["in the file", "by a mapping", "by a mapping alone", "by a word"])
def test_off_is_refused_in_every_form(said, key, no, yes):
    """And never passed over."""
    source = in_a_file(**({key.partition(".")[2]: no} if said == "in the file" else {}))
    overrides = {"by a mapping": {key: no}, "by a word": [f"--{key}", str(no)]}.get(said, ())
    if said == "by a mapping alone":
        source, overrides = "quickstart", {AUTO: "auto", key: no}
    line = f"{key}: expected {yes} with {AUTO} auto, got {str(no).lower()}; leave one out"
    with pytest.raises(ConfigError, match=line):
        learned(source, overrides)


def test_nothing_is_no_divergence():
    with pytest.raises(ConfigError, match=f"{KL}: expected a number >= 0, got "):
        learned(in_a_file(first_step_kl=None))


@pytest.mark.parametrize("words", [["0.2", "auto"], ["auto", "auto"]], ids=str)
def test_two_sizes_are_one_too_many(words):
    with pytest.raises(ConfigError, match="got 'auto'"):
        learned("quickstart", [f"--{AUTO}", *words])


@pytest.mark.parametrize(
    "overrides",
    [[f"--{AUTO}", "Auto"], [f"--{AUTO}"], {AUTO: ["auto"]}, {"meta_learner.name": "anil", AUTO: "auto"}],
    ids=str,
)
def test_anything_else_is_no_size(overrides):
    with pytest.raises(ConfigError, match=AUTO):
        learned("quickstart", overrides)


def test_what_is_saved_is_spelled_out():
    saved = metarl.read_config(in_a_file()).as_dict()["meta_learner"]
    assert (saved["learn_step_size"], saved["first_step_kl"]) == (True, 0.3)
    assert learned({**in_a_file(), "meta_learner": saved}) == (0.1, True, 0.3)
