"""The real Meta-World behind metarl's ids: runs where the extra "metaworld" is installed."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

pytest.importorskip("metaworld")
pytestmark = pytest.mark.filterwarnings("ignore")  # Meta-World's own


@pytest.mark.parametrize("benchmark", ["ML1", "ML10"])
def test_hides_its_goal_and_starts_afresh(benchmark):
    env = gymnasium.make(
        f"metarl/MetaWorld{benchmark}-v0", **({"env_name": "push-v3"} if benchmark == "ML1" else {})
    )
    check_env(env.unwrapped, skip_render_check=True)
    first, *others = env.unwrapped.sample_tasks(12)
    actions = np.random.default_rng(0).uniform(-1, 1, (520, 4)).astype(np.float32)

    def episode(task):
        env.unwrapped.set_task(task)
        observations, rewards, truncated = [env.reset()[0]], [], False
        while not truncated:
            observation, reward, _, truncated, info = env.step(actions[len(rewards)])
            observations.append(observation)
            rewards.append(reward)
            assert info["success"] in (0, 1)
        return np.array(observations), np.array(rewards)

    played = episode(first)
    assert played[0].shape == (501, 39)
    assert (played[0][:, -3:] == 0).all()
    other = episode(others[0])
    assert (other[1] != played[1]).any()
    for array, again in zip(played, episode(first), strict=True):
        np.testing.assert_array_equal(array, again)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("benchmark", ["ML1", "ML10"])
def test_trains_in_processes(train_small, benchmark):
    options = '{"env_name": "reach-v3"}' if benchmark == "ML1" else "{}"
    settings = ("--environment.id", f"metarl/MetaWorld{benchmark}-v0", "--environment.options", options)
    two = ("--environment.vectorization", "async", "--training.iterations", "2")
    assert train_small(*settings, *two).iteration == 2
