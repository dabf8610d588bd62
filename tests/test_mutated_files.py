"""Whatever is wrong in a file: it is read, or one line tells what is wrong; the others stay as they are."""

import random
import shutil

import gymnasium
import numpy as np
import pytest
import torch
from metarl_envs.sb3_vec_env import make_sb3_vec_env
from metarl_envs.task_files import read_tasks, write_tasks
from stable_baselines3 import PPO

import metarl
from metarl.commands.one_task import read_task
from metarl.errors import MetaRLError
from metarl.experiment.build import build_experiment
from metarl.experiment.config import read_config
from metarl.experiment.environments import task_distribution
from metarl.from_scratch.training import run_from_scratch
from metarl.runs.checkpoint import load_snapshots
from metarl.runs.folder import hold_run_folder
from metarl.runs.starting_point import initial_state
from metarl.runs.tensor_files import read_tensors
from metarl.training.recorders import CsvRecorder
from metarl.training.run_start import prepare_run
from metarl.training.several_runs import find_outcome
from tests.conftest import SMALL
from tests.from_scratch.conftest import SCRATCH
from tests.support.mutated_files import damage
from tests.support.told import refusal

PEARL = {
    "policy": {"name": "posterior", "latent_size": 2, "encoder_sizes": [4], "hidden_sizes": [4]},
    "meta_learner": {
        "name": "pearl",
        "critic_sizes": [4],
        "replay_ratio": 0.1,
        "meta_batch": 2,
        "batch_size": 4,
    },
}
SMALLEST = {**SMALL, "training": {**SMALL["training"], "iterations": 2, "snapshot_every": 30}}
RUNS = {"maml": SMALLEST, "pearl": {**SMALLEST, **PEARL}}


POINT = "metarl/PointNavigation-v0"
TASKS = task_distribution(read_config("quickstart"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with whole files of all kinds."""
    folder = tmp_path_factory.mktemp("whole")
    for name, sections in RUNS.items():
        metarl.train({**sections, "run_dir": str(folder / name)}, quiet=True)
    trained = metarl.load(folder / "maml")
    (folder / "adapted").mkdir()
    trained.adapt(gymnasium.make(POINT, max_episode_steps=8), episodes=2).save(
        folder / "adapted/a.safetensors"
    )
    trained.save(folder / "saved")
    run_from_scratch(read_config({**SCRATCH, "run_dir": str(folder / "scratch")}), False, lambda n: None)
    (folder / "tasks").mkdir()
    for suffix in ("json", "yaml"):
        write_tasks(folder / f"tasks/tasks.{suffix}", TASKS.sample(3, np.random.default_rng(0)))
    (folder / "task").mkdir()
    (folder / "task/task.json").write_text('{"goal": [0.1, 0.2]}')
    (folder / "start").mkdir()
    model = PPO(
        "MlpPolicy", make_sb3_vec_env(POINT, 2), policy_kwargs={"net_arch": {"pi": [8, 8], "vf": [3]}}
    )
    model.save(folder / "start/start.zip")
    return folder


def _acts(path):
    policy = metarl.load(path)
    policy.predict(np.zeros(2, np.float32))
    if hasattr(policy, "adapt"):
        env = gymnasium.make(POINT, max_episode_steps=2)
        try:
            policy.adapt(env, episodes=1, evaluation_episodes=0)
        except ValueError as error:
            if not str(error).startswith("expected the action space of training"):
                raise
            raise MetaRLError(str(error)) from error  # of another environment by now
        policy.experiment  # noqa: B018


def _goes_on(folder):
    """What a resume does before it trains."""
    sections = {**RUNS[folder.name], "run_dir": str(folder)}
    config = read_config(sections, {"training.iterations": 3})
    with hold_run_folder(folder):
        find_outcome(config)
        experiment = build_experiment(config)
        start = prepare_run(config, True, experiment)
        load_snapshots(folder)
        CsvRecorder(folder).on_start(start)


def _learned(folder):
    run_from_scratch(read_config({**SCRATCH, "run_dir": str(folder)}), True, lambda n: None)


def _starts(folder):
    words = {"policy.start_from": str(folder / "start.zip"), "run_dir": str(folder)}
    initial_state(build_experiment(read_config(SMALL, words)))


READERS = {
    "maml": (_acts, _goes_on),
    "pearl": (_acts, _goes_on),
    "saved": (_acts,),
    "adapted": (lambda folder: _acts(folder / "a.safetensors"),),
    "scratch": (_learned,),
    "tasks": (lambda folder: [read_tasks(path, TASKS) for path in sorted(folder.iterdir())],),
    "task": (lambda folder: read_task(str(folder / "task.json"), TASKS),),
    "start": (_starts,),
}
KINDS = [*READERS, *["adapted", "tasks", "task", "start"] * 4]
"""Those that take longer come less often."""
REWRITTEN = {"config.yaml", "progress.csv", "policy.safetensors"}
"""By a resume; the last one from the checkpoint."""
SEEN = {".safetensors", ".json", ".yaml", ".csv", ".zip"}


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.suffix in SEEN and path.is_file()}


def _is_described(data, path):
    """Whether a file has changed as those of earlier versions do at a resume: what it holds is described."""
    if not path.is_file() or path.suffix != ".safetensors":
        return False
    earlier = path.with_name("earlier.safetensors")
    earlier.write_bytes(data)
    try:
        (tensors, _), (now, described) = read_tensors(earlier), read_tensors(path)
    finally:
        earlier.unlink()
    same = all(torch.equal(value, now[name]) for name, value in tensors.items())
    return same and tensors.keys() == now.keys() and "description" in described


def check(whole, place, rng):
    """Damages one file and reads it in every way; returns how often it was refused."""
    kind = rng.choice(KINDS)
    folder = place / kind
    shutil.copytree(whole / kind, folder, ignore=shutil.ignore_patterns("events.*", "*.png", "*.gif"))
    path = rng.choice(sorted(_contents(folder)))
    damage(path, rng)
    before, told = _contents(folder), 0
    try:
        for read in READERS[kind]:
            told += (
                refusal(
                    lambda read=read: read(folder),
                    ValueError if kind in ("tasks", "adapted") else MetaRLError,
                )
                is not None
            )
        after = _contents(folder)
        gone = [one for one, data in before.items() if one.name not in REWRITTEN and after.get(one) != data]
        gone = [one for one in gone if not _is_described(before[one], one)]
        assert not gone, f"changed {gone}"
    except AssertionError as error:
        raise AssertionError(f"{kind}/{path.relative_to(folder)}: {error}") from error
    finally:
        shutil.rmtree(folder)
    return told


@pytest.mark.parametrize(
    ("number", "seed"),
    [(60, 0), pytest.param(10_000, 1, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
@pytest.mark.filterwarnings("ignore:.*expected a row for each of")
@pytest.mark.filterwarnings("ignore:.*version 0.1.0")
def test_a_damaged_file_is_read_or_told_in_one_line(whole, tmp_path, number, seed):
    told = 0
    for index in range(number):
        rng = random.Random(f"{seed} {index}")
        told += check(whole, tmp_path, rng)
    assert number / 2 < told < 2 * number
