"""Settings of learning from scratch reach stable-baselines3, or are named."""

from contextlib import closing

import pytest
import torch
from metarl_envs.tasks import unstack_tasks

from metarl.errors import ConfigError
from metarl.experiment.environments import held_out_tasks
from metarl.from_scratch.model import make_model, make_vec_env
from metarl.from_scratch.training import run_from_scratch


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["--from_scratch.settings", "{n_stepps: 3}"],
            r"settings: expected keys among .*'n_steps'.*n_stepps",
        ),
        (
            ["--from_scratch.settings", "{policy_kwargs: {}}"],
            r"settings: expected keys .*got \['policy_kwargs",
        ),
        (
            ["--from_scratch.algorithm", "td3"],
            r"algorithm: expected one of \['ppo', 'sac', 'trpo'\], got 'td3",
        ),
        (["--from_scratch.num_envs", "0"], "num_envs: expected an integer > 0, got '0'"),
        (["--from_scratch.inner_steps", "1"], "from_scratch.inner_steps: no such key"),
        (["--from_scratch.settings", "{clip_range: wide}"], "settings: expected what PPO takes, got .*wide"),
        (
            ["--policy.min_std", "0.1"],
            r"policy.min_std: no such key; .*the keys \['policy.activation', ",
        ),
        (
            ["--environment.id", "tests/Drift-v0", "--environment.vectorization", "sync"],
            "environment: expected one of metarl's natively batched environments, got 'tests/Drift-v0'",
        ),
    ],
)
def test_settings_that_do_not_work_are_named(config, overrides, message):
    with pytest.raises(ConfigError, match=message) as raised:
        run_from_scratch(config(*overrides), resume=False)
    assert "\n" not in str(raised.value)


def test_the_initial_std_is_the_configs(config):
    made = config("--policy.initial_std", "0.3")
    task = next(unstack_tasks(held_out_tasks(made, 1, 0)))
    with closing(make_vec_env(made, 3, task)) as envs:
        model = make_model(made, envs, 0)
    torch.testing.assert_close(model.policy.log_std.exp(), torch.full((2,), 0.3))


def test_trpo_tells_what_to_install(config, monkeypatch):
    monkeypatch.setattr("metarl.policies.algorithms.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"from_scratch.algorithm: expected .* \(pip install sb3-contrib\)"):
        config("--from_scratch.algorithm", "trpo")
