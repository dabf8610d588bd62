"""Policies and meta-learners of a user's own package, by name, in every command and in `load`."""

import signal
import sys
from dataclasses import dataclass

import gymnasium
import numpy as np
import pytest
import torch
import yaml

import metarl
from metarl.command import main
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.meta_learners.registry import META_LEARNERS
from metarl.policies.policy import TaskState
from metarl.policies.registry import POLICIES
from tests.support.opengl import needs_opengl
from tests.user_package.learner import cautious
from tests.user_package.policies import LayerNormMLP, TwoHeaded

PACKAGE = "tests.user_package"
LAYER_NORM = {"name": f"{PACKAGE}.policies:LayerNormMLP", "width": 6}
TWO_HEADED = {"name": f"{PACKAGE}.policies:TwoHeaded", "width": 6}
CAUTIOUS = {"name": f"{PACKAGE}.learner:cautious", "caution": 5.0}


@pytest.fixture
def write(small_config_file):
    """(section=..., ...) -> the config file with other sections."""

    def written(**sections):
        values = yaml.safe_load(small_config_file.read_text())
        small_config_file.write_text(yaml.safe_dump({**values, **sections}))
        return small_config_file

    return written


@pytest.mark.parametrize("policy", [LAYER_NORM, TWO_HEADED], ids=["layer_norm", "two_headed"])
def test_a_users_policy_trains_loads_adapts_and_is_saved(write, train_small, tmp_path, policy):
    write(policy=policy)
    assert train_small("--training.iterations", "2").iteration == 2
    loaded = metarl.load(tmp_path / "run", trust=True)
    assert loaded.experiment.config.policy.settings == {**settings_of(policy), "width": 6}
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    shared = {"normalise_observations": False}
    assert saved["policy"] == {**policy, **loaded.experiment.config.policy.settings, **shared}
    env = gymnasium.make("metarl/PointNavigation-v0", max_episode_steps=8)
    adapted = loaded.adapt(env, {"goal": [0.1, 0.2]}, episodes=3)
    assert len(adapted.returns) == 2
    adapted.save(tmp_path / "saved")
    again = metarl.load(tmp_path / "saved", trust=True)
    observation = np.ones(2)
    expected, _ = adapted.predict(observation, deterministic=True)
    np.testing.assert_array_equal(again.predict(observation, deterministic=True)[0], expected)


def settings_of(policy):
    defaults = {"LayerNormMLP": {"depth": 2, "initial_std": 1.0}, "TwoHeaded": {"initial_std": 0.5}}
    return defaults[policy["name"].partition(":")[2]]


def test_standard_deviations_may_depend_on_the_state(write, small_config, tmp_path):
    write(policy=TWO_HEADED)
    experiment = build_experiment(small_config())
    theta = experiment.learner.initial_state(torch.Generator().manual_seed(0)).parameters
    repeated = {name: value.expand(2, *value.shape) for name, value in theta.items()}
    sampler = experiment.sampler(2, 3)
    rollout = sampler.collect(TaskState(repeated), experiment.training_tasks(2), (0, 1))
    sampler.close()
    log_std = rollout.behaviour.log_std
    assert log_std[0, 0, :, 0].unique().numel() == 8
    expected = torch.distributions.Normal(rollout.behaviour.mean, log_std.exp()).log_prob(rollout.actions)
    torch.testing.assert_close(rollout.behaviour_log_prob, expected.sum(-1))


def test_a_users_meta_learner_reads_its_own_settings(write, train_small, tmp_path):
    by_name = {"name": "maml", "inner_step_size": 0.2, "first_order": True}
    write(meta_learner=by_name, run_dir=str(tmp_path / "maml"))
    expected = train_small("--training.iterations", "2").state.parameters
    write(meta_learner=CAUTIOUS, run_dir=str(tmp_path / "run"))
    found = train_small("--training.iterations", "2").state.parameters
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    config = metarl.load(tmp_path / "run", trust=True).experiment.config
    assert config.as_dict()["meta_learner"] == {**CAUTIOUS, "inner_steps": 1}


def test_registered_names_need_no_trust(write, train_small, tmp_path, monkeypatch):
    for names in (POLICIES, META_LEARNERS):
        monkeypatch.setitem(names, "of_the_test", None)
        monkeypatch.delitem(names, "of_the_test")
    metarl.register_policy("of_the_test", LayerNormMLP)
    metarl.register_meta_learner("of_the_test", cautious)
    write(policy={"name": "of_the_test", "width": 5}, meta_learner={"name": "of_the_test"})
    train_small("--training.iterations", "1", "--policy.depth", "1", "--meta_learner.caution", "3")
    loaded = metarl.load(tmp_path / "run").experiment
    assert loaded.policy == LayerNormMLP(2, 2, width=5, depth=1)
    assert loaded.config.meta_learner.caution == 3


@dataclass(frozen=True)
class Sizeless:
    width: int = 3


@dataclass(frozen=True)
class Silent:
    observation_size: int
    action_size: int


@dataclass(frozen=True)
class Taken(TwoHeaded):
    name: str = "mine"


def unannotated(policy, settings, task_map): ...


def misnamed(policy, settings: Taken, task_map): ...


HERE = __name__


@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        (
            "policy.name",
            "mlp",
            r"expected one of .'belief', 'gaussian_mlp', .*'squashed_gru'., or my_package:Thing, got",
        ),
        ("policy.name", "null", "expected one of .*got 'null'"),
        ("policy.name", "no_such_package:Thing", "PYTHONPATH holds, got .*: ModuleNotFoundError: No mod"),
        ("policy.name", "math:", "in PYTHONPATH holds, got 'math:': AttributeError"),
        ("policy.name", ":Thing", "in PYTHONPATH holds, got ':Thing': ValueError"),
        ("policy.name", f"{HERE}:unannotated", "expected a policy class that is a frozen dataclass"),
        ("policy.name", f"{HERE}:Sizeless", r"without \['observation_size', 'action_size'\]"),
        ("policy.name", f"{HERE}:Silent", r"with \['__call__', 'initial_parameters'\], got"),
        ("policy.name", f"{HERE}:Taken", r"fields other than \['name', 'start_from', .* got \['name'\]"),
        ("meta_learner.name", f"{PACKAGE}.learner:cautios", "holds, got .*: AttributeError"),
        ("meta_learner.name", f"{HERE}:unannotated", "expected a function .policy, settings: MySettings"),
        ("meta_learner.name", f"{HERE}:misnamed", "expected settings other than name, .* got Taken"),
        ("meta_learner.name", "math:pi", "expected a function .policy, settings: MySettings, task_map"),
    ],
)
def test_a_name_of_nothing_that_fits_is_one_line(write, key, name, message):
    path = write(policy={})
    with pytest.raises(metarl.ConfigError, match=rf"{key}: .*{message}") as raised:
        read_config(path, [f"--{key}", name])
    assert "\n" not in str(raised.value)


def test_keys_are_those_of_the_named_things(write):
    path = write(policy=TWO_HEADED, meta_learner=CAUTIOUS)
    for override, message in (
        (
            "--policy.hidden_sizes=[8]",
            r"policy\.hidden_sizes: no such key; .*one of the keys \['pol",
        ),
        ("--policy.widht=3", r"did you mean policy\.width\?"),
        ("--policy.width=wide", r"policy\.width: expected a value of type int, got 'wide'"),
        ("--policy.observation_size=3", r"policy\.observation_size: no such key"),
        (
            "--meta_learner.inner_step_size=1",
            r"inner_step_size: no such key; .*the keys \['meta_le",
        ),
    ):
        with pytest.raises(metarl.ConfigError, match=message):
            read_config(path, [override])


@pytest.mark.parametrize("register", [metarl.register_policy, metarl.register_meta_learner])
def test_what_has_not_the_shape_is_not_registered(register):
    with pytest.raises(ValueError, match="expected a name without a colon"):
        register("my:thing", TwoHeaded)
    with pytest.raises(ValueError, match=r"expected a (policy class|function)"):
        register("thing", unannotated)


def test_a_policys_own_check_is_told_with_its_key(small_config):
    with pytest.raises(metarl.ConfigError, match=r"^policy\.min_std: expected at most 0\.5, .*, got 1"):
        small_config("--policy.initial_std", "0.5", "--policy.min_std", "1")


def test_a_family_of_a_module_is_vectorised_natively(write, train_small, small_config, tmp_path):
    write(environment={"id": f"{PACKAGE}.family:metarl/BrakeAt-v0", "horizon": 5, "options": {"limit": 2.0}})
    assert train_small("--training.iterations", "1").iteration == 1
    loaded = metarl.load(tmp_path / "run", trust=True)
    assert loaded.experiment.task_distribution.validate({"place": 1.5}) == {"place": 1.5}


MARKED = """
from pathlib import Path
Path({mark!r}).touch()
from tests.user_package.policies import TwoHeaded
from tests.user_package.learner import cautious
"""
STRANGE = {"policy": "strange_things:TwoHeaded", "meta_learner": "strange_things:cautious"}


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that is there once the module was imported."""
    (tmp_path / "strange_things.py").write_text(MARKED.format(mark=str(tmp_path / "mark")))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "mark"
    sys.modules.pop("strange_things", None)


@pytest.mark.parametrize("section", STRANGE)
def test_nothing_is_imported_for_a_folder_that_is_not_trusted(write, train_small, tmp_path, mark, section):
    own = write().read_text()
    write(**{"policy": {}, section: {"name": STRANGE[section]}})
    train_small("--training.iterations", "1")
    sys.modules.pop("strange_things")
    mark.unlink()
    run, name = str(tmp_path / "run"), STRANGE[section]
    env = gymnasium.make("metarl/PointNavigation-v0", max_episode_steps=8, preset="maml")
    for use in (lambda: metarl.load(run).adapt(env), lambda: metarl.load(run).experiment):
        with pytest.raises(
            metarl.RunError, match=rf"{section}\.name: expected a registered .*, got '{name}', whose"
        ):
            use()
    (tmp_path / "small.yaml").write_text(own)
    with pytest.raises(metarl.RunError, match=rf"^{section}\.name: expected '{name}', as the run to resume"):
        train_small("--training.iterations", "1", resume=True)
    start = ("--policy.start_from", run, "--run_dir", str(tmp_path / "other"))
    if section == "policy":
        with pytest.raises(
            metarl.ConfigError, match=r"start_from: .*; or give both runs the same policy\.name"
        ):
            train_small(*start)
    else:
        train_small(*start, "--policy.hidden_sizes", "[64, 64]")
    assert not mark.exists()
    assert metarl.load(run, trust=True).experiment.config.seed == 3
    assert mark.exists()


@pytest.fixture
def command(monkeypatch, capsys):
    """(*words) -> what the command prints, which must go well; signals and threads are put back."""
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["metarl", *map(str, words)])
        code = main()
        found = capsys.readouterr()
        assert code == 0, found.err
        return found.out

    yield run
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)


def test_every_command_takes_them(write, command, tmp_path):
    path, run = write(policy=TWO_HEADED, meta_learner=CAUTIOUS), tmp_path / "run"
    shown = command("train", path, "--training.iterations", 1)
    assert "--steps 1 --trust" in shown
    task = ("--task", '{"goal": [0.1, 0.2]}', "--episodes", 2)
    command("adapt", run, *task, "--save", tmp_path / "adapted", "--trust")
    command("evaluate", run, "--tasks", 2, "--steps", 1, "--episodes", 2, "--trust")
    small = ("--seeds", 1, "--tasks", 2, "--episodes", 2, "--steps", 1, "--evaluations", 1)
    command("compare", path, "--budget", 100, *small, "--output", tmp_path / "comparison")
    assert metarl.load(tmp_path / "adapted", trust=True).policy == TwoHeaded(2, 2, width=6)


@needs_opengl
def test_a_run_of_theirs_is_filmed(write, train_small, command, tmp_path):
    write(policy=TWO_HEADED, meta_learner=CAUTIOUS)
    train_small("--training.iterations", "1")
    small = ("--width", 80, "--height", 60, "--length", 2, "--episodes", 2)
    task = ("--task", '{"goal": [0.1, 0.2]}')
    command("render", tmp_path / "run", *task, *small, "--output", tmp_path / "film.png", "--trust")
    assert (tmp_path / "film.png").is_file()
