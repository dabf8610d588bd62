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
            ["--meta_learner.settings", "{n_stepps: 3}"],
            r"settings: expected keys among .*'n_steps'.*n_stepps",
        ),
        (
            ["--meta_learner.settings", "{policy_kwargs: {}}"],
            r"settings: expected keys .*got \['policy_kwargs",
        ),
        (
            ["--meta_learner.algorithm", "td3"],
            r"algorithm: expected one of \['ppo', 'sac', 'trpo'\], got 'td3",
        ),
        (["--meta_learner.num_envs", "0"], "num_envs: expected an integer > 0, got '0'"),
        (["--meta_learner.inner_steps", "1"], "meta_learner.inner_steps: expected one of the keys"),
        (["--meta_learner.settings", "{clip_range: wide}"], "settings: expected what PPO takes, got .*wide"),
        (["--policy.start_from", "a.zip"], r"policy.start_from: expected \"\" to learn from scratch"),
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
    monkeypatch.setattr("metarl.policies.stable_baselines.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"meta_learner.algorithm: expected .* \(pip install sb3-contrib\)"):
        config("--meta_learner.algorithm", "trpo")
