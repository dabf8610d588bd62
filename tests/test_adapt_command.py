"""metarl adapt: in the run's environment or a user's own, on held-back episodes, and what it leaves."""

import csv
import sys

import numpy as np
import pytest

import metarl
from metarl.commands import adapt
from metarl.commands.live_curve import LiveCurve, verdict
from metarl.commands.one_task import read_object
from metarl.errors import ConfigError
from metarl.rollouts.random_keys import EVALUATION
from tests.support.tiny_envs import Drift

DRIFT = ("--environment.id", "tests.support.tiny_envs:tests/Drift-v0", "--environment.vectorization", "sync")
HERE = "tests.test_adapt_command:"


class Fixed(Drift):
    """Without a hook for tasks."""

    set_task = None

    def __init__(self, velocity=0.5):
        super().__init__()
        self._velocity = velocity

    def has_wrapper_attr(self, name):
        return name not in ("set_task", "sample_tasks") and super().has_wrapper_attr(name)


def no_env():
    return 3


class Broken(Drift):
    """Raises where it is told to."""

    def __init__(self, where="make"):
        super().__init__()
        self._where = where
        self._fail("make")

    def _fail(self, where):
        if where == self._where:
            raise KeyError("empty\ndrawer")

    def set_task(self, task):
        self._fail("set_task")
        super().set_task(task)

    def reset(self, **arguments):
        self._fail("reset")
        return super().reset(**arguments)

    def step(self, action):
        self._fail("step")
        return super().step(action)

    def close(self):
        self._fail("close")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """(words) -> exit code, what was printed and told, and the folder of results."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["adapt", str(tmp_path / "run"), *map(str, words)])
        before = {*tmp_path.glob("run/adaptation/*")}
        code, told = adapt.main(), capsys.readouterr()
        made = {*tmp_path.glob("run/adaptation/*")} - before
        return code, told.out, told.err, made.pop() if made else None

    return call


@pytest.fixture
def drifting(train_small):
    train_small(*DRIFT, "--environment.options", "{}", "--training.iterations", "1")


def curve(folder):
    with (folder / "adaptation.csv").open(newline="") as file:
        return [
            [float(value) for name, value in row.items() if name.startswith("episode_")]
            for row in csv.DictReader(file)
        ]


def test_held_back_episodes_measure_every_step_in_the_runs_environment(train_small, tmp_path, run):
    train_small("--training.iterations", "1")
    task = '{"goal": [0.25, -0.125]}'
    code, out, _, folder = run("--task", task, "--episodes", 3, "--steps", 2, "--held_back", 5)
    assert code == 0
    assert folder.name == "goal=0.25,-0.125"
    assert "goal [0.25, -0.12]" in out
    assert np.array(curve(folder)).shape == (3, 5)
    policy = metarl.load(tmp_path / "run")
    goal = {"goal": np.array([[0.25, -0.125]])}
    found = policy.experiment.evaluate(policy.parameters, goal, episodes=3, steps=2, seed=0, held_back=5)
    np.testing.assert_allclose(curve(folder), found.curve.episode_returns[:, 0], rtol=1e-6)
    adapted = metarl.load(folder / "adapted.safetensors")
    for name, value in adapted.parameters.items():
        np.testing.assert_array_equal(value, found.adapted.parameters[name][0])
    assert adapted.returns == pytest.approx(found.curve.mean.tolist())
    used = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert [line[0] for line in used] == ["0", "1", "2"]
    assert [line[4] for line in used] == ["0", "3", "6"]


def test_a_callables_environment_with_a_hook_is_adapted_to_its_task(drifting, tmp_path, run):
    task = {"velocity": 0.5}
    words = ("--env", "tests.support.tiny_envs:Drift", "--task", '{"velocity": 0.5}', "--trust")
    code, out, _, folder = run(*words, "--episodes", 3, "--steps", 2)
    assert code == 0
    assert folder.name == "env=tests.support.tiny_envs-Drift_velocity=0.5"
    policy = metarl.load(tmp_path / "run", trust=True)
    expected = policy.adapt(Drift(), task, episodes=3, steps=2)
    found = metarl.load(folder / "adapted.safetensors")
    assert dict(found.task) == task
    assert found.returns == pytest.approx(expected.returns)
    for name, value in expected.parameters.items():
        np.testing.assert_array_equal(found.parameters[name], value)
    assert "velocity 0.5, " in out


def test_an_environment_without_a_hook_keeps_its_own_task(drifting, run):
    words = ("--env", f"{HERE}Fixed", "--episodes", 3, "--held_back", 4)
    code, out, _, folder = run(*words)
    assert code == 0
    assert "its own task" in out
    assert np.array(curve(folder)).shape == (2, 4)
    assert metarl.load(folder / "adapted.safetensors").task is None
    _, _, _, other = run(*words, "--env_options", '{"velocity": -0.5}')
    assert curve(other)[0] != curve(folder)[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--task: expected the task to adapt to"),
        (("--env_options", "{}"), "--env_options: expected beside --env"),
        (("--env", "nowhere:make"), "--env: expected an id, or module:callable"),
        (("--env", "NoSuch-v0"), "--env: expected an id, or module:callable"),
        (("--env", f"{HERE}no_env"), "expected a gymnasium.Env, got int"),
        (("--env", f"{HERE}Fixed", "--env_options", '{"colour": 1}'), "colour"),
        (
            ("--env", f"{HERE}Fixed", "--task", '{"velocity": 1}'),
            f'set_task, reset_task or reset(options={{"task": ...}}), got {HERE}Fixed; leave',
        ),
        (("--env", "metarl/PointNavigation-v0"), "--env: expected observation and action sizes (1, 1)"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(drifting, run, words, message):
    code, _, err, folder = run(*words)
    assert (code, folder) == (2, None)
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert message in err


@pytest.mark.parametrize("where", ["make", "set_task", "reset", "step", "close"])
def test_what_an_environment_raises_is_told_with_its_class_and_place(drifting, run, where):
    options = f'{{"where": "{where}"}}'
    code, _, err, folder = run(
        "--env", f"{HERE}Broken", "--env_options", options, "--task", '{"velocity": 1}', "--episodes", 2
    )
    assert (code, folder) == (2, None)
    *_, line = err.splitlines()
    assert line.startswith(f"error: --env {HERE}Broken: KeyError: 'empty\\ndrawer' (test_adapt_command.py")


def test_a_step_helped_where_chance_would_hardly_have_it_so():
    """Of ten pairs nine better: 11/1024 on one side; eight: 56/1024."""
    before = np.zeros(10)
    for better, expected in ((10, "helped"), (9, "helped"), (8, "no clear change"), (2, "no clear change")):
        after = np.where(np.arange(10) < better, 1.0, -1.0)
        assert verdict(before, after) == expected
        assert verdict(-before, -after) == ("made it worse" if expected == "helped" else expected)


@pytest.mark.parametrize(("episodes", "expected"), [(5, "too few to tell"), (6, "helped")])
def test_a_verdict_may_fall_to_either_side(episodes, expected):
    """Five of five better come by chance once in 32, five of five better or worse once in 16."""
    assert verdict(np.zeros(episodes), np.ones(episodes)) == expected


def test_chance_alone_helps_on_less_than_one_step_in_twenty():
    rng = np.random.default_rng(0)
    found = [verdict(*rng.normal(size=(2, 20))) for _ in range(4000)]
    assert found.count("no clear change") / len(found) == pytest.approx(1 - 2 * 0.0207, abs=0.01)


def test_the_curve_shows_return_interval_and_what_the_step_did():
    shown = LiveCurve(5, 1, quiet=True)
    before, after = np.full(8, -10.0), np.arange(8.0)
    for returns in (before, after):
        shown.show(returns)
    first, second = shown.table().rows
    half = 2.3646 * after.std(ddof=1) / np.sqrt(8)  # Student's t, 7 degrees of freedom
    assert first[:4] == ("0", "-10.00", "[-10.00, -10.00]", "0")
    assert second[:4] == ("1", "3.50", f"[{3.5 - half:.2f}, {3.5 + half:.2f}]", "5")
    assert (first[5], second[5]) == ("", "helped")
    assert len(second[4]) > len(first[4]) >= 1


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (1.0, "Adaptation helped: from 0.00 to 1.00 by 2 inner steps."),
        (-1.0, "Adaptation made it worse: from 0.00 to -1.00 by 2 inner steps."),
        (0.0, "Adaptation made no clear change: from 0.00 to 0.00 by 2 inner steps."),
    ],
)
def test_what_all_steps_did_is_a_sentence(last, expected):
    shown = LiveCurve(5, 2, quiet=True)
    for value in (0.0, last / 2, last):
        shown.show(np.full(8, value))
    assert shown.whole() == expected


def test_too_few_episodes_are_not_called_no_change():
    shown = LiveCurve(5, 1, quiet=True)
    for value in (0.0, 1.0):
        shown.show(np.full(5, value))
    told = "Adaptation cannot be judged by 5 episodes: from 0.00 to 1.00 by 1 inner step; take "
    assert shown.whole() == f"{told}--held_back 6 or more."


def test_a_curve_of_one_episode_has_no_interval_and_no_column_for_it():
    shown = LiveCurve(1, 1, quiet=True)
    for returns in (np.array([1.0]), np.array([2.0])):
        shown.show(returns)
    assert "interval" not in shown.table().text()


def test_the_first_key_of_an_adaptation_is_that_of_evaluations(train_small, tmp_path, run):
    """Without --held_back a step is measured on the episodes that the next one adapts to."""
    train_small("--training.iterations", "1")
    _, _, _, folder = run("--task", '{"goal": [0.25, 0.25]}', "--episodes", 3, "--steps", 1)
    policy = metarl.load(tmp_path / "run")
    experiment, goal = policy.experiment, {"goal": np.array([[0.25, 0.25]])}
    walk = experiment.walk(experiment.sampler(1, 3))
    visit = walk.visit(walk.start(policy.parameters, 1), goal, (0, 0, EVALUATION, 0))
    np.testing.assert_allclose(curve(folder)[0], visit.rollout.returns[0], rtol=1e-6)


def test_a_task_from_what_never_ends_is_refused():
    with pytest.raises(ConfigError, match=r"--task: expected JSON such as .*, got /dev/zero"):
        read_object("--task", "/dev/zero", "{}")
