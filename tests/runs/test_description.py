"""Policy files say what their policy is, and how it acts and adapts."""

import json
import sys
from dataclasses import dataclass, replace

import gymnasium
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metarl.errors import ConfigError, RunError
from metarl.experiment.build import build_experiment
from metarl.policies.context import ContextPolicy
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.plain import modules_named, policy_from_plain, policy_to_plain
from metarl.policies.registry import POLICIES, register_policy
from metarl.runs.checkpoint import load_checkpoint, load_policy, load_snapshots, save_checkpoint
from metarl.runs.description import ActionBounds, describe, read_description
from metarl.runs.files import POLICY, VERSION
from tests.support.policies_of_users import NormalisedMLP, OwnNetwork

NETWORK = GaussianMLP(3, 2, (8, 4), "relu", initial_std=0.5, min_std=0.1, output_gain=0.25)


@dataclass(frozen=True)
class Loose:
    """Settings that no file can hold."""

    function: object = print


def described(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["description"])


def test_every_file_of_a_run_describes_its_policy(train_small, tmp_path):
    train_small("--training.iterations", "1", "--training.snapshot_every", "100")
    run = tmp_path / "run"
    files = [run / POLICY, run / "checkpoint.safetensors", *(run / "snapshots").iterdir()]
    one, *others = map(described, files)
    assert len(others) >= 2
    assert all(other == one for other in others)
    assert (one["format"], one["version"], one["kind"]) == (1, VERSION, "run")
    assert one["policy"]["name"] == "gaussian_mlp"
    assert one["policy"]["settings"]["hidden_sizes"] == [8, 8]
    assert (one["policy"]["settings"]["observation_size"], one["policy"]["settings"]["action_size"]) == (2, 2)
    assert (one["actions"]["low"], one["actions"]["high"]) == ([-1, -1], [1, 1])
    assert one["environment"] == {
        "id": "metarl/PointNavigation-v0",
        "options": {"preset": "maml"},
        "horizon": 8,
    }
    adaptation = one["adaptation"]
    assert (adaptation["meta_learner"]["name"], adaptation["meta_learner"]["inner_step_size"]) == (
        "maml",
        0.1,
    )
    assert (adaptation["advantages"]["discount"], adaptation["inner_steps"]) == (0.99, 1)
    assert one["task"] is None
    assert load_policy(run).description == read_description(json.dumps(one))


@pytest.mark.parametrize("name", ["maml", "cavia", "maml_pp"])
def test_a_description_comes_back_and_rebuilds_the_policies(small_config, name):
    experiment = build_experiment(small_config("--meta_learner.name", name))
    found = read_description(describe(experiment).to_json())
    assert found == describe(experiment)
    assert policy_from_plain(found.policy) == experiment.policy
    assert policy_from_plain(found.adaptation.policy) == experiment.given_policy
    assert found.actions.space == experiment.action_space


@pytest.mark.parametrize(
    ("low", "high"), [(-2.0, 2.0), (-np.inf, np.inf), ([[-1.0, -np.inf]], [[0.1, 3.0]])], ids=str
)
def test_action_bounds_are_plain_json(small_config, low, high):
    shape = {} if np.ndim(low) else {"shape": (2,)}
    space = gymnasium.spaces.Box(np.float32(low), np.float32(high), dtype=np.float32, **shape)
    description = replace(describe(build_experiment(small_config())), actions=ActionBounds.of(space))
    text = description.to_json()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert read_description(text).actions.space == space


@pytest.mark.parametrize(
    "policy",
    [NETWORK, ContextPolicy(NETWORK, 1), NormalisedMLP(3, 2, (4,)), OwnNetwork(NormalisedMLP(3, 2))],
    ids=lambda policy: type(policy).__name__,
)
def test_policies_come_back_from_plain_data(policy):
    plain = json.loads(json.dumps(policy_to_plain(policy)))
    assert policy_from_plain(plain, trust=True) == policy
    if type(policy) in (GaussianMLP, ContextPolicy):
        assert not modules_named(plain)
    else:
        with pytest.raises(RunError, match=r"got 'tests\.support\.policies_of_users:.*trust=True"):
            policy_from_plain(plain)


def test_a_registered_policy_needs_no_trust():
    register_policy("normalised", NormalisedMLP)
    try:
        plain = policy_to_plain(NormalisedMLP(3, 2))
        assert plain["name"] == "normalised"
        assert policy_from_plain(plain) == NormalisedMLP(3, 2)
    finally:
        POLICIES.pop("normalised")
    with pytest.raises(RunError, match=r"expected one of .*'gaussian_mlp'.* got 'normalised'; register"):
        policy_from_plain(plain)


def test_a_module_is_imported_for_a_trusted_file_alone(tmp_path, monkeypatch):
    (tmp_path / "sprung.py").write_text("from metarl.policies.gaussian_mlp import GaussianMLP as Trap\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    inner = {"name": "sprung:Trap", "settings": {"observation_size": 3, "action_size": 2}}
    plain = {"name": "context", "settings": {"network": inner, "context_size": 1}}
    with pytest.raises(RunError, match="got 'sprung:Trap', whose module would be imported"):
        policy_from_plain(plain)
    assert "sprung" not in sys.modules
    policy_from_plain(plain, trust=True)
    assert sys.modules.pop("sprung")


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"name": "nonsense", "settings": {}}, r"expected one of .*, got 'nonsense'"),
        ({"name": "gaussian_mlp", "settings": {"depth": 3}}, "expected settings that gaussian_mlp takes"),
        (
            {"name": "no_such_module:Policy", "settings": {}},
            "got 'no_such_module:Policy': ModuleNotFoundError",
        ),
        ({"name": "json:loads", "settings": {}}, "expected a dataclass, got 'json:loads'"),
    ],
)
def test_a_policy_that_cannot_be_had_is_told(plain, message):
    with pytest.raises(RunError, match=message):
        policy_from_plain(plain, trust=True)


def test_a_policy_that_no_file_can_hold_is_told():
    with pytest.raises(ConfigError, match=r"Loose\.function: expected a setting that a policy file can hold"):
        policy_to_plain(Loose())
    with pytest.raises(ConfigError, match=r"expected a dataclass, .* got object; make it one"):
        policy_to_plain(object())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, r"expected format 1, got 2; read the file with the version"),
        ({"kind": "somebody's"}, r"description\.kind: expected one of"),
        ({"policy": None}, r"description\.policy: expected a value of type dict, got None"),
        ({"environment": {"id": "a", "options": {}, "horizon": 0}}, "horizon: expected an integer > 0"),
        ({"adaptation": {}}, r"description\.policy: expected a value of type dict"),
    ],
)
def test_a_foreign_description_is_told(small_config, change, message):
    data = json.loads(describe(build_experiment(small_config())).to_json())
    read_description(json.dumps({**data, "of_a_later_version": 1}))
    with pytest.raises(RunError, match=message):
        read_description(json.dumps({**data, **change}))
    for text in ("no JSON", "[]", "3"):
        with pytest.raises(RunError, match=r"^description: expected"):
            read_description(text)


def test_bounds_of_no_box_are_told():
    for low, dtype in (([1.0, [2.0]], "float32"), ([0.0], "nonsense"), (["a"], "float32")):
        with pytest.raises(RunError, match="expected the bounds of a box"):
            _ = ActionBounds(low, [1.0], dtype).space


def test_an_edited_description_is_refused(train_small, tmp_path):
    train_small("--training.iterations", "1")
    path = tmp_path / "run" / POLICY
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    metadata["description"] = metadata["description"].replace("PointNavigation", "AntGoal")
    save_file(load_file(path), path, metadata)
    with pytest.raises(RunError, match="do not match its digest"):
        load_policy(tmp_path / "run")


def test_a_resume_describes_the_files_of_earlier_versions(train_small, tmp_path):
    settings = ("--training.iterations", "1", "--training.snapshot_every", "100")
    train_small(*settings)
    run = tmp_path / "run"
    save_checkpoint(run, replace(load_checkpoint(run), description=None))
    assert load_policy(run).description is None
    train_small(*settings, resume=True)
    found = load_policy(run).description
    assert found is not None
    assert found == load_checkpoint(run).description
    assert [one.description for one in load_snapshots(run)] == [found, found]
