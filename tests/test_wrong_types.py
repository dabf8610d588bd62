"""Arguments of another type are told by their name."""

import gymnasium
import pytest

import metarl

WRONG = (None, 0.5, object(), len, {1}, 1j)


@pytest.fixture(scope="module")
def policy():
    return metarl.load("zoo/point_navigation")


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: type(wrong).__name__)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        *(("load", name) for name in ("path", "device", "trust", "environment_options", "iteration")),
        *(("train", name) for name in ("observers", "resume", "quiet")),
        *(("evaluate", name) for name in ("tasks", "episodes", "steps", "seed")),
        *(("adapt", name) for name in ("env", "episodes", "steps", "seed", "task")),
    ],
)
def test_an_argument_of_another_type_is_told_by_its_name(policy, function, name, wrong):
    if wrong is None and name in ("environment_options", "iteration", "task"):
        pytest.skip("None is one of its values")
    given = {
        "load": {"path": "zoo/point_navigation"},
        "train": {"config": "quickstart"},
        "evaluate": {"policy": policy},
        "adapt": {"env": gymnasium.make("metarl/PointNavigation-v0")},
    }[function]
    called = policy.adapt if function == "adapt" else getattr(metarl, function)
    with pytest.raises(TypeError, match=f"^{name}: expected .*, got {type(wrong).__name__}$"):
        called(**{**given, name: wrong})
