"""Training that starts at a policy trained before."""

import csv
import json
import math
import zipfile

import pytest
import torch
from metarl_envs.sb3_vec_env import make_sb3_vec_env
from stable_baselines3 import A2C, PPO, SAC
from stable_baselines3.common.vec_env import VecNormalize

import metarl
from metarl.errors import ConfigError
from metarl.experiment.build import build_experiment
from metarl.policies.context import without_context
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.stable_baselines import from_sb3
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.starting_point import initial_state
from tests.support.tiny import BY_GRADIENT

POINT = "metarl/PointNavigation-v0"
POLICY = GaussianMLP(observation_size=2, action_size=2, hidden_sizes=(8, 8))
START = "--policy.start_from"


def saved(folder, kind=PPO, env_id=POINT, **policy_kwargs):
    """The file of a stable-baselines3 model, and its policy."""
    shape = {"net_arch": {"pi": [8, 8], "vf": [3]}, **policy_kwargs}
    shape = {"net_arch": [8, 8]} if kind is SAC else shape
    model = kind("MlpPolicy", make_sb3_vec_env(env_id, 2), policy_kwargs=shape, device="cpu", seed=3)
    with torch.no_grad():
        for value in model.policy.parameters():
            value += 0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0))
        if kind is not SAC:
            model.policy.action_net.bias += 1.5  # walks away
    model.save(folder / "start.zip")
    return str(folder / "start.zip"), model.policy


def first_row(run_dir):
    with (run_dir / "progress.csv").open(newline="") as file:
        return next(csv.DictReader(file))


def same(one, other):
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("name", BY_GRADIENT)
@pytest.mark.parametrize("kind", [PPO, A2C])
def test_every_learner_starts_as_the_saved_actor(small_config, tmp_path, kind, name):
    path, actor = saved(tmp_path, kind)
    learner = ("--meta_learner.name", name, "--meta_learner.inner_step_size", "0.3")
    experiment = build_experiment(small_config(START, path, *learner))
    started = initial_state(experiment).parameters
    fresh = initial_state(build_experiment(small_config(*learner))).parameters
    assert list(started) == list(fresh)
    observations = torch.randn(20, 2)
    mean, log_std = experiment.policy(started, observations)
    distribution = actor.get_distribution(observations).distribution
    torch.testing.assert_close(mean, distribution.mean.detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(log_std.exp(), distribution.stddev.detach())
    kept = [n for n, value in fresh.items() if torch.equal(value, started[n])]
    assert kept == [n for n in fresh if n.startswith("step_size.") or n == "context"]


def test_the_first_rollout_is_the_starting_policys(train_small, tmp_path):
    """A context of zeros changes nothing, so that CAVIA's is MAML's."""
    path, _ = saved(tmp_path)
    names = {"maml": (START, path), "cavia": (START, path), "anil": ()}
    before = {}
    for name, start in names.items():
        folder = tmp_path / name
        train_small("--meta_learner.name", name, "--run_dir", str(folder), *start)
        before[name] = float(first_row(folder)["rollout/return_before"])
    assert before["cavia"] == pytest.approx(before["maml"], abs=1e-4)
    assert abs(before["anil"] - before["maml"]) > 1


def test_a_resumed_run_needs_the_file_no_more(train_small, tmp_path):
    path, _ = saved(tmp_path)
    for folder, iterations in (("whole", "4"), ("halves", "2")):
        train_small(START, path, "--run_dir", str(tmp_path / folder), "--training.iterations", iterations)
    (tmp_path / "start.zip").unlink()
    train_small(START, path, "--run_dir", str(tmp_path / "halves"), resume=True)
    whole, halves = (load_checkpoint(tmp_path / folder).state for folder in ("whole", "halves"))
    assert same(whole.parameters, halves.parameters)
    assert same(metarl.load(tmp_path / "whole").parameters, whole.parameters)


@pytest.mark.parametrize(("name", "saved"), [("maml", "a"), ("cavia", "a"), ("maml_pp", "a.safetensors")])
def test_a_run_starts_at_another_run(train_small, small_config, tmp_path, name, saved):
    train_small("--meta_learner.name", name, "--run_dir", str(tmp_path / "first"), "--policy.min_std", "0.9")
    source = metarl.load(tmp_path / "first")
    source.parameters["log_std"] -= 1
    source.save(tmp_path / saved)
    started = initial_state(build_experiment(small_config(START, str(tmp_path / saved)))).parameters
    expected = without_context(source.experiment.policy, source.parameters)
    expected["log_std"] = torch.full((2,), math.log(0.9))
    assert same(started, expected)


def test_nothing_of_a_file_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    path, _ = saved(tmp_path)
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    data = json.loads(contents["data"])
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", json.dumps({**data, "policy_class": {":serialized:": "bm90IGEgcGlja2xl"}}))
        file.writestr("policy.pth", contents["policy.pth"])
    from_sb3(path, POLICY)
    torch.save({"action_net.weight": Trap()}, tmp_path / "trap.pth")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", contents["data"])
        file.write(tmp_path / "trap.pth", "policy.pth")
    with pytest.raises(ValueError, match="none or damaged"):
        from_sb3(path, POLICY)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net_arch": {"pi": [8]}}, "expected an actor 2-8-8-2 tanh .*, got 2-8-2 tanh; give the policy"),
        ({"activation_fn": torch.nn.ReLU}, "expected an actor 2-8-8-2 tanh .*, got 2-8-8-2 relu"),
        ({"activation_fn": torch.nn.ELU}, "expected an actor 2-8-8-2 tanh .*, got 2-8-8-2 ELU"),
        ({"env_id": "metarl/HalfCheetahVel-v0"}, "expected an actor 2-8-8-2 .* got 17-8-8-6"),
        ({"kind": SAC}, "expected the Gaussian MLP actor of PPO, A2C or TRPO.* got {'actor"),
    ],
)
def test_a_model_of_another_shape_is_refused(small_config, tmp_path, settings, message):
    path, _ = saved(tmp_path, **settings)
    with pytest.raises(ConfigError, match=rf"^policy\.start_from: {message}"):
        initial_state(build_experiment(small_config(START, path)))


def test_what_is_no_policy_leaves_no_run_behind(train_small, tmp_path):
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("nothing.zip", "saved by stable-baselines3.*nothing.zip: No such file"),
        ("text.zip", "text.zip, which is none or damaged"),
        ("empty", "config.yaml, found none in"),
    ):
        with pytest.raises(ConfigError, match=rf"^policy\.start_from: expected .*{message}"):
            train_small(START, str(tmp_path / name))
    assert not (tmp_path / "run").exists()
    train_small("--run_dir", str(tmp_path / "first"), "--environment.options", "{action_scale: 2.0}")
    with pytest.raises(
        ConfigError, match=r"actions in Box\(-1.* got .* actions in Box\(-2.*the same environ"
    ):
        train_small(START, str(tmp_path / "first"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bias: None, r"expected action_net.bias of the shape \(2,\), got {'log_std"),
        (lambda bias: bias[:1], r"expected action_net.bias of the shape \(2,\), got {'log_std"),
        (lambda bias: bias / 0, "expected action_net.bias to hold finite numbers, got others; save"),
        (lambda bias: bias.double() * 1e300, "expected action_net.bias to hold finite numbers"),
        (lambda bias: bias.to_sparse(), "expected action_net.bias to hold finite numbers"),
        (lambda bias: bias.to("meta"), "expected action_net.bias to hold finite numbers"),
        (lambda bias: bias.to(torch.complex64), "expected action_net.bias to hold finite numbers"),
    ],
)
def test_tensors_that_no_network_has_are_refused(tmp_path, change, message):
    path, actor = saved(tmp_path)
    changed = {"action_net.bias": change(actor.state_dict()["action_net.bias"])}
    state = {name: value for name, value in {**actor.state_dict(), **changed}.items() if value is not None}
    torch.save(state, tmp_path / "policy.pth")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", "{}")
        file.write(tmp_path / "policy.pth", "policy.pth")
    with pytest.raises(ValueError, match=message):
        from_sb3(path, POLICY)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compressions_are_refused(tmp_path, compression):
    for at in range(40):
        with zipfile.ZipFile(tmp_path / "start.zip", "w", compression) as file:
            file.writestr("data", "{}" * 50)
        content = bytearray((tmp_path / "start.zip").read_bytes())
        content[34 + at % 20] ^= 1 + at
        (tmp_path / "start.zip").write_bytes(content)
        with pytest.raises(ValueError, match="expected a model saved by stable-baselines3"):
            from_sb3(tmp_path / "start.zip", POLICY)


def test_tensors_that_unpack_without_end_are_refused_before_they_do(tmp_path):
    """A zip in the zip: here its directory alone says so."""
    path, actor = saved(tmp_path)
    torch.save(actor.state_dict(), tmp_path / "policy.pth")
    content = bytearray((tmp_path / "policy.pth").read_bytes())
    size = content.index(b"PK\x01\x02") + 24
    content[size : size + 4] = (2**31).to_bytes(4, "little")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", "{}")
        file.writestr("policy.pth", bytes(content))
    with pytest.raises(ValueError, match=r"policy\.pth unpacks to more than 1024 MiB"):
        from_sb3(path, POLICY)


def test_models_are_taken_too(tmp_path):
    _, actor = saved(tmp_path)
    model = PPO.load(tmp_path / "start.zip", device="cpu")
    taken = from_sb3(model, POLICY)
    assert torch.equal(taken["mean.weight"], actor.action_net.weight)
    with pytest.raises(ValueError, match=r"on-policy algorithm .* got SAC"):
        from_sb3(SAC("MlpPolicy", make_sb3_vec_env(POINT, 2), device="cpu"), POLICY)
    normalised = VecNormalize(make_sb3_vec_env(POINT, 2))
    with pytest.raises(ValueError, match="own observations, got VecNormalize's"):
        from_sb3(PPO("MlpPolicy", normalised, device="cpu"), POLICY)
