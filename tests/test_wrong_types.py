"""Arguments of another type are told by their name."""

import gymnasium
import pytest

import metarl

WRONG = (None, 0.5, object(), len, {1}, 1j)


@pytest.fixture(scope="module")
def policy():
    return metarl.load("zoo/point_navigation")


FUNCTIONS = {
    "load": ("path", "device", "trust", "environment_options", "iteration"),
    "train": ("observers", "resume", "quiet"),
    "train_from_scratch": ("overrides", "resume", "quiet"),
    "train_supervised": ("overrides", "resume", "quiet"),
    "evaluate": ("tasks", "episodes", "steps", "seed"),
    "adapt": ("env", "episodes", "steps", "seed", "task"),
}
MAY_BE_NONE = {"environment_options", "iteration", "task", "overrides", "adapt episodes", "evaluate episodes"}


@pytest.mark.parametrize(
    ("function", "name", "wrong"),
    [
        pytest.param(function, name, wrong, id=f"{function}-{name}-{type(wrong).__name__}")
        for function, names in FUNCTIONS.items()
        for name in names
        for wrong in (WRONG[1:] if {name, f"{function} {name}"} & MAY_BE_NONE else WRONG)
    ],
)
def test_an_argument_of_another_type_is_told_by_its_name(policy, function, name, wrong):
    given = {
        "load": {"path": "zoo/point_navigation"},
        "train": {"config": "quickstart"},
        "train_from_scratch": {"config": "point_navigation/sb3_ppo"},
        "train_supervised": {"config": "sinusoid/maml"},
        "evaluate": {"policy": policy},
        "adapt": {"env": gymnasium.make("metarl/PointNavigation-v0")},
    }[function]
    called = policy.adapt if function == "adapt" else getattr(metarl, function)
    with pytest.raises(TypeError, match=f"^{name}: expected .*, got {type(wrong).__name__}$"):
        called(**{**given, name: wrong})
