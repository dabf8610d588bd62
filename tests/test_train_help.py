"""`metarl train --help`: a line for every key, of the learner and the policy that are named."""

import sys

import pytest

from metarl.command import main
from metarl.experiment.config import read_config, sections_of
from metarl.experiment.config_sections import key_types
from metarl.experiment.key_help import COMMON, explain_keys
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.registry import POLICIES

KINDS = {
    **{name: {"meta_learner": {"name": name}} for name in META_LEARNERS},
    "from_scratch": {"from_scratch": {}},
    "glyphs": {
        "data": {"name": "glyphs"},
        "network": {"name": "conv"},
        "learner": {"name": "maml_pp"},
    },
    "users": {
        "meta_learner": {"name": "tests.user_package.learner:cautious"},
        "policy": {"name": "tests.user_package.policies:TwoHeaded"},
    },
}


def told(text):
    """What is said of every key, by its name, in its order."""
    keys = text.rpartition("Keys of a config")[2]
    lines = [line.split(maxsplit=2) for line in keys.splitlines() if line.startswith("  --")]
    return {words[0].removeprefix("--"): words[2] for words in lines}


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_has_a_line_that_says_what_it_is(kind):
    told_of = sections_of(KINDS[kind])
    found = told(explain_keys(told_of))
    types = key_types(told_of.sections)
    keys = {key for key in types if not any(other.startswith(f"{key}.") for other in types)}
    keys -= {key for key in keys for unread in told_of.unread if f"{key}.".startswith(f"{unread}.")}
    names = {"policy.name", "meta_learner.name"} if told_of.policy else set()
    names |= {f"{section}.name" for section in told_of.supervised or ()}
    assert set(found) == keys | names | {"seed", "run_dir"}
    assert [key for key, text in found.items() if len(text.partition(" (")[0]) < 5] == []
    # A line stands alone: it begins with what the key is, not with a word that asks for the one before.
    dangling = {"of", "at", "by", "in", "on", "as", "from", "with"}
    assert [key for key, text in found.items() if text.split()[0] in dangling] == []
    assert list(found)[: len(set(COMMON) & set(found))] == [key for key in COMMON if key in found]


def test_names_and_defaults_are_told():
    found = told(explain_keys(sections_of({"meta_learner": {"name": "cavia"}})))
    assert (
        found["meta_learner.name"] == f"one of {', '.join(sorted(META_LEARNERS))}, or my_package:my_learner"
    )
    assert found["policy.name"].startswith(f"one of {', '.join(sorted(POLICIES))}, or")
    assert found["meta_learner.inner_step_size"] == "alpha, of the context (1.0)"
    assert found["meta_learner.context_size"] == "numbers in the context vector (5)"
    assert found["meta_learner.first_order"].endswith("(false)")
    assert found["environment.id"].endswith("(required)")
    assert found["meta_learner.trust_region.max_kl"].endswith("(0.01; with outer trpo)")
    assert found["meta_learner.clipped.schedule_updates"].endswith(
        "(0; with outer ppo; with schedule linear or cosine)"
    )


def test_a_configs_own_values_are_told():
    config = read_config("quickstart", ["--sampling.tasks", "7"])
    found = told(explain_keys(sections_of("quickstart"), config.as_dict()))
    assert found["environment.id"].endswith("(metarl/PointNavigation-v0)")
    assert found["environment.options"].endswith("({preset: maml})")
    assert found["sampling.tasks"].endswith("(7)")
    assert found["meta_learner.name"].endswith("(maml)")
    assert found["meta_learner.trust_region.max_kl"].endswith("(0.01; with outer trpo)")
    assert found["run_dir"].endswith("(runs/quickstart)")


@pytest.mark.parametrize(
    ("chosen", "unread"),
    [
        ({"meta_learner": {"name": "rl2"}}, {"sampling.advantages", "policy.normalise_observations"}),
        ({"meta_learner": {"name": "pearl"}}, {"sampling.advantages", "policy.start_from"}),
        ({"meta_learner": {"name": "multi_task"}}, {"meta_learner.inner_steps"}),
        ({"from_scratch": {}}, {"sampling.tasks", "training.iterations", "training.device"}),
    ],
)
def test_keys_that_a_learner_does_not_read_have_no_line(chosen, unread):
    everything = told(explain_keys(sections_of({"meta_learner": {"name": "maml"}})))
    found = told(explain_keys(sections_of(chosen)))
    for key in unread:
        assert [one for one in everything if f"{one}.".startswith(f"{key}.")]
        assert not [one for one in found if f"{one}.".startswith(f"{key}.")]


def test_a_learner_with_memory_has_its_policy_by_itself():
    found = told(explain_keys(sections_of({"meta_learner": {"name": "varibad"}})))
    assert found["policy.name"].endswith("(belief)")
    assert "policy.latent_size" in found


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ((), "meta_learner.trust_region.max_kl"),
        (("point_navigation/cavia",), "meta_learner.context_size"),
        (("quickstart", "--meta_learner.name", "promp"), "meta_learner.kl_penalty"),
        (("--meta_learner.name=imaml",), "meta_learner.solver_steps"),
        (("point_navigation/sb3_sac",), "from_scratch.settings"),
    ],
)
def test_the_named_learners_keys_are_shown(monkeypatch, capsys, words, key):
    monkeypatch.setattr(sys, "argv", ["metarl", "train", *words, "--help"])
    assert main() == 0
    text = capsys.readouterr().out
    assert text.index("usage: metarl train") < text.index("\n  --environment.id ")
    assert key in told(text)


def test_help_on_a_name_of_nothing_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["metarl", "train", "--meta_learner.name", "mamll", "--help"])
    assert main() == 2
    assert "error: meta_learner.name: expected one of ['anil', " in capsys.readouterr().err
