"""A policy with a posterior in use: it adapts by playing, is saved with what it knows, and predicts on."""

import numpy as np
import pytest
import torch
import yaml

import metarl
from metarl.experiment.environments import make_env
from metarl.runs.run_config import load_run_config

TASK, SEEN = {"goal": [0.2, -0.1]}, np.array([0.1, 0.0])


@pytest.fixture
def trained(small_config_file, train_small, tmp_path):
    """A loaded run of an iteration, and its environment."""
    values = yaml.safe_load(small_config_file.read_text())
    values["policy"] = {
        "name": "posterior",
        "encoder_sizes": [5],
        "hidden_sizes": [6],
        "exploration_episodes": 1,
    }
    values["meta_learner"] = {"name": "pearl", "replay_ratio": 0.05, "critic_sizes": [5]}
    small_config_file.write_text(yaml.safe_dump(values))
    train_small("--training.iterations", "1")
    return metarl.load(tmp_path / "run"), make_env(load_run_config(tmp_path / "run"))


def test_adapting_is_playing_and_the_posterior_is_saved(trained, tmp_path):
    loaded, env = trained
    adapted = loaded.adapt(env, TASK, episodes=3, evaluation_episodes=1, seed=2)
    assert len(adapted.returns) == 4
    assert adapted.carry["episodes"].item() == 3
    assert (adapted.carry["precision"] > 0).all()
    adapted.save(tmp_path / "goal.safetensors")
    again = metarl.load(tmp_path / "goal.safetensors")
    assert all(torch.equal(again.carry[name], value) for name, value in adapted.carry.items())
    for one in (again, adapted):
        one.set_random_seed(7)
    actions = [one.predict(SEEN, deterministic=True)[0] for one in (again, adapted)]
    assert np.array_equal(*actions)
    assert np.abs(actions[0]).max() <= 1


def test_z_stays_for_an_episode_and_is_drawn_anew_for_the_next(trained):
    loaded, _ = trained
    _, state = loaded.predict(SEEN)
    first = state
    for _ in range(3):
        _, state = loaded.predict(SEEN, state, np.array([False]), reward=-0.5)
        assert np.array_equal(state[-2], first[-2])
    _, state = loaded.predict(SEEN, state, np.array([True]), reward=-0.5)
    assert not np.array_equal(state[-2], first[-2])
    assert state[-1].item() == 2


def test_what_is_not_told_is_asked_for(trained):
    """A reward that predict was not given is missed when z is drawn again, and not before."""
    loaded, _ = trained
    _, state = loaded.predict(SEEN)
    _, state = loaded.predict(SEEN, state, np.array([False]))
    with pytest.raises(ValueError, match=r"expected reward, .* PosteriorPolicy remembers"):
        loaded.predict(SEEN, state, np.array([True]))


def test_an_evaluation_plays_trials(trained):
    loaded, _ = trained
    curve = metarl.evaluate(loaded, tasks=2, episodes=1, steps=2).curve
    assert curve.returns.shape == (3, 2)
    assert np.isfinite(curve.returns).all()
