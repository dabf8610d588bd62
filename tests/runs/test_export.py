"""Policies as plain torch modules and as ONNX files."""

import numpy as np
import pytest
import torch

import metarl
from metarl.policies.context import ContextPolicy
from metarl.policies.gaussian_mlp import GaussianMLP
from metarl.policies.torch_module import to_torch
from metarl.runs.acting import ActingPolicy
from metarl.runs.description import ActionBounds, Adaptation, PolicyDescription
from tests.support.policies_of_users import NormalisedMLP, OwnNetwork

POLICIES = [
    GaussianMLP(3, 2, (8, 4)),
    GaussianMLP(3, 2, (8,), "relu"),
    ContextPolicy(GaussianMLP(5, 2, (8, 4)), 2),
    NormalisedMLP(3, 2, (8,)),
    OwnNetwork(NormalisedMLP(3, 2, (8,))),
]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
every_box = pytest.mark.parametrize("high", [[0.5, 0.5], [0.5, None]], ids=["one_bound", "other_bounds"])
OBSERVATIONS = torch.linspace(-3, 3, 12).reshape(4, 3)


def acting(policy, high=(0.5, 0.5), dtype=torch.float32):
    """Random parameters, large enough that actions leave the box."""
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: torch.randn(value.shape, generator=generator).to(dtype)
        for name, value in policy.initial_parameters(generator).items()
    }
    bounds = ActionBounds([-0.5, -0.5], list(high), "float32")
    environment = {"id": "none", "options": {}, "horizon": 1}
    description = PolicyDescription("meta_policy", {}, bounds, environment, Adaptation({}, {}, {}, 1))
    return ActingPolicy(description, policy, parameters)


@every_policy
@every_box
def test_the_module_takes_the_policys_actions(policy, high):
    one = acting(policy, high)
    expected = one.policy(one.parameters, OBSERVATIONS).mean
    torch.testing.assert_close(one.to_torch()(OBSERVATIONS), expected)
    clipped = one.to_torch(clipped=True)(OBSERVATIONS)
    taken = one.predict(OBSERVATIONS.numpy(), deterministic=True)[0]
    torch.testing.assert_close(clipped.detach(), torch.from_numpy(taken))
    assert not torch.equal(clipped, expected)
    torch.testing.assert_close(one.to_torch()(OBSERVATIONS[0]), expected[0])


@pytest.mark.parametrize("policy", POLICIES[:3], ids=lambda policy: type(policy).__name__)
def test_a_gaussian_mlp_holds_nothing_of_metarl(policy):
    module = acting(policy).to_torch(clipped=True)
    assert all(type(part).__module__.startswith("torch.nn") for part in module.modules())
    state = module.state_dict()
    assert list(state)[:2] == ["0.weight", "0.bias"]
    assert state["0.weight"].shape == (8, 3)


def test_another_policys_state_dict_has_its_own_names():
    one = acting(NormalisedMLP(3, 2, (8,)))
    state = one.to_torch().state_dict()
    assert set(state) == set(one.parameters)
    assert all(torch.equal(value, one.parameters[name]) for name, value in state.items())


def test_the_module_is_a_copy_that_keeps_its_type_and_draws_no_random_numbers():
    one = acting(POLICIES[0], dtype=torch.float64)
    before = torch.get_rng_state()
    module = to_torch(one.policy, one.parameters, None)
    assert torch.equal(torch.get_rng_state(), before)
    expected = module(OBSERVATIONS.double()).detach()
    assert expected.dtype == torch.float64
    one.parameters["mean.bias"] += 1
    assert torch.equal(module(OBSERVATIONS.double()), expected)


@every_policy
@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_it_can_be_traced_and_exported(policy):
    module = acting(policy, [0.5, None]).to_torch(clipped=True)
    expected = module(OBSERVATIONS)
    shapes = ({0: torch.export.Dim("env")},)
    exported = torch.export.export(module, (OBSERVATIONS,), dynamic_shapes=shapes)
    assert torch.equal(exported.module()(OBSERVATIONS), expected)
    traced = torch.jit.trace(module, OBSERVATIONS)
    assert torch.equal(traced(OBSERVATIONS[:1]), module(OBSERVATIONS[:1]))


def test_a_loaded_policy_exports(train_small, tmp_path):
    train_small("--meta_learner.name", "cavia", "--training.iterations", "1")
    policy = metarl.load(tmp_path / "run")
    observations = np.linspace(-1, 1, 10, dtype=np.float32).reshape(5, 2)
    actions = policy.to_torch(clipped=True)(torch.from_numpy(observations)).detach().numpy()
    np.testing.assert_allclose(actions, policy.predict(observations, deterministic=True)[0], rtol=1e-6)


@pytest.mark.parametrize("policy", [POLICIES[2], POLICIES[3]], ids=lambda policy: type(policy).__name__)
def test_the_onnx_file_takes_the_same_actions(policy, tmp_path):
    reason = 'the extra "onnx" is not installed'
    reference = pytest.importorskip("onnx.reference", reason=reason)
    pytest.importorskip("onnxscript", reason=reason)
    one, path = acting(policy, [0.5, None]), tmp_path / "new" / "policy.onnx"
    one.to_onnx(path, clipped=True)
    assert [file.name for file in path.parent.iterdir()] == ["policy.onnx"]
    (actions,) = reference.ReferenceEvaluator(str(path)).run(None, {"observations": OBSERVATIONS.numpy()})
    expected = one.predict(OBSERVATIONS.numpy(), deterministic=True)[0]
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=1e-6)
    (tmp_path / "file").touch()
    with pytest.raises(metarl.RunError, match="expected a place to write to"):
        one.to_onnx(tmp_path / "file" / "policy.onnx")


def test_onnx_without_its_packages_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("metarl.policies.onnx_file.find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(ValueError, match=r'found no onnx: install the extra "onnx", or pip install onnx$'):
        acting(POLICIES[0]).to_onnx(tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()
