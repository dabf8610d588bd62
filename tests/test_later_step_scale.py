"""Inner steps after the first are scaled as asked, or an error says that they cannot be."""

import pytest
import torch

import metarl
from metarl.errors import ConfigError
from metarl.experiment.environments import make_env
from metarl.runs.run_config import load_run_config
from tests.support.tiny import BY_GRADIENT, inner_steps
from tests.support.warm_commands import run_script

MESSAGE = (
    "later_step_scale: expected a meta-learner whose inner steps after the first it scales, got maml_pp; leav"
)


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_every_learner_scales_later_steps_or_says_that_it_cannot(train_small, tmp_path, name):
    learner = ("--meta_learner.name", name, *inner_steps(name, 2))
    train_small(*learner, "--meta_learner.inner_step_size", "0.01", "--training.iterations", "0")
    folder, options = tmp_path / "run", {"episodes": 3, "seed": 1}
    env = make_env(load_run_config(folder))

    def adapted(steps, scale=None):
        return metarl.load(folder, later_step_scale=scale).adapt(env, steps=steps, **options).parameters

    if name == "maml_pp":
        with pytest.raises(ConfigError, match=MESSAGE):
            adapted(2, 0.25)
        return
    one, two, scaled = adapted(1), adapted(2), adapted(2, 0.25)
    assert all(torch.equal(value, one[n]) for n, value in adapted(1, 0.25).items())
    whole = torch.cat([(two[n] - one[n]).flatten() for n in one]).norm()
    quarter = torch.cat([(scaled[n] - one[n]).flatten() for n in one]).norm()
    assert 0 < quarter < 0.6 * whole


def test_the_scripts_tell_it_in_one_line(train_small, small_config_file, tmp_path):
    learner = ("--meta_learner.name", "maml_pp", "--run_dir", str(tmp_path / "run"))
    train_small(*learner, "--training.iterations", "0")
    small_config_file.write_text(small_config_file.read_text().replace("name: maml", "name: maml_pp"))
    scale = ["--later_step_scale", "0.5"]
    for name, arguments in {
        "evaluate": [tmp_path / "run", *scale],
        "compare": [small_config_file, "--budget", "100", "--output", tmp_path / "out", *scale],
    }.items():
        done = run_script(name, *arguments)
        assert done.returncode == 2
        assert MESSAGE in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/PointNavigation").exists()
