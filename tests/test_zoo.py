"""The meta-policies that come with the package do what their cards say, and stand where a run does."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

import metarl
from metarl.command import main
from metarl.commands.publishing import training_command
from metarl.commands.zoo import zoo_table
from metarl.errors import ConfigError, RunError
from metarl.runs.card import read_card
from metarl.runs.places import ZOO, zoo_names
from metarl.runs.tables import measured_text
from tests.support.warm_commands import run_script

ROOT = Path(__file__).parents[1]
TASK = ("--task", '{"goal": [0.1, 0.2]}')


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """(*words) -> exit code and what was printed; in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["metarl", *map(str, words)])
        return main(), capsys.readouterr()

    return run


def ship(*words):
    return run_script("ship", *words)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("ant")) for name in zoo_names()]
)
def test_a_shipped_one_does_what_its_card_says(name):
    """Within the card's interval, widened by the one measured: on other tasks and fewer of them."""
    card = read_card(ZOO / name)
    steps, episodes = card.evaluation["steps"], card.trial_episodes or 10
    curve = metarl.evaluate(f"zoo/{name}", tasks=12, episodes=episodes, steps=steps, seed=11).curve
    assert curve.trial_episodes == card.trial_episodes
    for told, found in zip(card.intervals, curve.intervals, strict=True):
        assert told.low - (found.high - found.mean) <= found.mean <= told.high + (found.mean - found.low)


@pytest.mark.parametrize("name", zoo_names())
def test_a_card_is_of_its_policy(name):
    card, policy = read_card(ZOO / name), metarl.load(f"zoo/{name}")
    assert card.environment == policy.description.environment
    assert (card.algorithm, card.seed) == (
        policy.experiment.config.meta_learner_name,
        policy.experiment.config.seed,
    )
    assert policy.description.kind == "meta_policy"
    assert policy.experiment.config.run_dir == f"runs/{name}"
    assert card.licence == "mit"


def test_they_are_listed_with_their_returns(command):
    cards = {name: read_card(ZOO / name) for name in zoo_names()}
    code, printed = command("zoo")
    assert code == 0
    assert printed.out.strip() == zoo_table(cards).text()
    row = next(line for line in printed.out.splitlines() if "zoo/point_navigation" in line)
    assert row.split()[5:] == [f"{one:.2f}" for one in cards["point_navigation"].mean_return]
    assert zoo_table(cards, measured_text).markdown() in (ROOT / "docs/zoo.md").read_text()


def test_a_card_is_shown(command):
    code, printed = command("zoo", "point_navigation")
    assert code == 0
    assert printed.out.startswith("# A meta-policy for PointNavigation, by maml\n")
    assert "`metarl train quickstart --seed 1`" in printed.out
    code, printed = command("zoo", "point_navigatoin")
    assert code == 2
    assert "got zoo/point_navigatoin; did you mean zoo/point_navigation?" in printed.err


def test_a_terminal_sees_no_raw_markdown(command, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, printed = command("zoo", "point_navigation")
    assert "mean return" in printed.out
    assert not any(raw in printed.out for raw in ("| ---", "**", "# A meta"))


def test_results_go_to_the_working_directory(command, tmp_path):
    before = sorted(ZOO.rglob("*"))
    code, printed = command("evaluate", "zoo/point_navigation", "--tasks", 2, "--episodes", 2, "--steps", 1)
    assert code == 0, printed.err
    (folder,) = (tmp_path / "runs/zoo/point_navigation/evaluation").iterdir()
    assert f"Written to {folder.relative_to(tmp_path)}:" in printed.out
    code, printed = command("adapt", "zoo/point_navigation", *TASK, "--episodes", 2)
    assert code == 0, printed.err
    assert "tensorboard --logdir runs/zoo/point_navigation\n" in printed.out
    assert (tmp_path / "runs/zoo/point_navigation/adaptation/goal=0.1,0.2/adapted.safetensors").is_file()
    assert sorted(ZOO.rglob("*")) == before


def test_a_folder_of_that_name_comes_first(train_small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_small("--run_dir", "zoo/point_navigation", "--training.iterations", "1")
    assert metarl.load("zoo/point_navigation").policy.hidden_sizes == (8, 8)
    with pytest.raises(RunError, match=r"expected one of the zoo's policies \[.*\], or a folder, got zoo"):
        metarl.load("zoo/ant")


def test_training_starts_at_one(train_small):
    start = ("--policy.start_from", "zoo/point_navigation", "--policy.hidden_sizes", "[64, 64]")
    found = train_small(*start, "--training.iterations", "0").state.parameters
    shipped = metarl.load("zoo/point_navigation").parameters
    assert all(torch.equal(value, found[name]) for name, value in shipped.items())
    with pytest.raises(ConfigError, match=r"policy\.start_from: expected one of the zoo's"):
        train_small("--policy.start_from", "zoo/none", "--training.iterations", "0", "--run_dir", "other")


def test_a_run_is_shipped(train_small, tmp_path):
    steps = train_small("--training.iterations", "2").environment_steps
    zoo, page = tmp_path / "metarl/zoo", tmp_path / "docs/zoo.md"
    page.parent.mkdir()
    page.write_text("before\n<!-- zoo: written by scripts/ship.py -->\nold\n<!-- end of zoo -->\nafter\n")
    few = ("--tasks", 4, "--episodes", 3, "--steps", 1, "--checkout", tmp_path)
    done = ship(tmp_path / "run", "little_point", *few)
    assert done.returncode == 0, done.stderr
    card = read_card(zoo / "little_point")
    assert (card.seed, card.iterations, card.environment_steps) == (3, 2, steps)
    assert card.evaluation == {"tasks": 4, "episodes": 3, "steps": 1, "seed": 0}
    curve = metarl.evaluate(zoo / "little_point", tasks=4, episodes=3, steps=1).curve
    assert list(card.mean_return) == pytest.approx(curve.mean.tolist())
    assert card.command == "metarl train config.yaml"
    text = page.read_text()
    assert f"| zoo/little_point | PointNavigation-v0 | maml | {steps} | 3 |" in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert str(tmp_path) not in "".join(path.read_text() for path in zoo.rglob("*.[my][da]*"))
    for name, message in (("little_point", "which is there: --replace"), ("Big", "expected snake_case")):
        done = ship(tmp_path / "run", name, *few)
        assert done.returncode == 2
        assert message in done.stderr
    assert ship(tmp_path / "run", "little_point", *few, "--replace").returncode == 0


@pytest.mark.parametrize(
    "otherwise",
    [
        {"iterations": 10},
        {"iterations": 1040},
        {"environment_steps": 10**7, "snapshot_every": 10**6, "evaluate_every": 0, "evaluation_tasks": 3},
    ],
)
def test_a_run_that_ends_and_records_otherwise_is_of_the_shipped_config(tmp_path, otherwise):
    overrides = {f"training.{key}": value for key, value in otherwise.items()}
    config = metarl.read_config("half_cheetah_dir/rl2", {"seed": 4, **overrides})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.as_dict()))
    shipped = metarl.read_config("half_cheetah_dir/rl2").training.iterations
    command = "metarl train half_cheetah_dir/rl2 --seed 4"
    assert training_command(tmp_path, shipped) == command
    assert training_command(tmp_path, 7) == f"{command} --training.iterations 7"


def test_a_policy_with_memory_is_shipped_by_single_episodes(train_small, tmp_path):
    memory = ("--policy.name", "gru", "--meta_learner.name", "rl2", "--meta_learner.minibatches", "1")
    train_small("--training.iterations", "1", *memory)
    page = tmp_path / "docs/zoo.md"
    page.parent.mkdir()
    page.write_text("<!-- zoo: written by scripts/ship.py -->\n<!-- end of zoo -->\n")
    done = ship(tmp_path / "run", "little_point", "--tasks", 4, "--steps", 2, "--checkout", tmp_path)
    assert done.returncode == 0, done.stderr
    card = read_card(tmp_path / "metarl/zoo/little_point")
    assert (card.trial_episodes, card.evaluation["episodes"]) == (1, 1)
    text = (tmp_path / "metarl/zoo/little_point/README.md").read_text()
    assert "| episodes before | mean return |" in text
    assert "episodes a step" not in text
