"""What cannot fit in memory is told before anything is made, and nothing is left behind."""

import pytest

import metarl
from metarl.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sampling.tasks": 10**9},
            r"sampling: expected what fits in \d+ GiB .* 1000000000 tasks x 4 episodes",
        ),
        ({"environment.horizon": 10**10}, r"10000000000 steps x 2 rollouts"),
        ({"meta_learner.inner_steps": 10**10}, r"10000000001 rollouts"),
        ({"policy.hidden_sizes": [10**5, 10**6]}, r"networks of 100,\d+,\d+,\d+ weights for each task"),
        ({"training.evaluation_tasks": 10**10}, r"training.evaluation: expected what fits"),
    ],
)
def test_what_no_machine_holds_is_refused(small_config_file, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message) as raised:
        metarl.train(small_config_file, overrides=change, quiet=True)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()
