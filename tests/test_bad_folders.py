"""Run folders and numbers that cannot be are told in a line, where the config is read."""

import pytest

import metarl
from metarl.errors import ConfigError, RunError
from metarl.runs.run_config import config_digest


@pytest.mark.parametrize("folder", ["", " ", "/", "/usr/..", "a\nb", "a\0b"])
def test_what_names_no_folder_of_its_own_is_refused(folder):
    with pytest.raises(ConfigError, match="run_dir: expected the path of a folder of its own, got"):
        metarl.read_config("quickstart", {"run_dir": folder})


def test_the_users_home_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert metarl.read_config("quickstart", {"run_dir": "~/runs/a"}).run_dir == str(tmp_path / "runs/a")
    with pytest.raises(ConfigError, match=r"run_dir: .*'~nobody-here/a'"):
        metarl.read_config("quickstart", {"run_dir": "~nobody-here/a"})


@pytest.mark.parametrize("folder", [".", ".."])
def test_a_run_is_not_spread_over_the_folder_that_one_works_in(
    small_config_file, tmp_path, monkeypatch, folder
):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    if folder == ".":
        metarl.train(small_config_file, overrides={"run_dir": folder}, quiet=True)
        monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RunError, match=r"run_dir: expected a folder of its own, got \.+, the working"):
        metarl.train(small_config_file, overrides={"run_dir": folder}, quiet=True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_task_of_that_name_is_not_overwritten(train_small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/held_out_task.json").write_text("mine")
    with pytest.raises(RunError, match="already holds a run"):
        train_small()
    assert (tmp_path / "run/held_out_task.json").read_text() == "mine"


def test_a_link_that_leads_to_itself_is_refused(small_config_file, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "link")
    for folder in ("link", "link/run"):
        with pytest.raises(RunError, match="run_dir: expected a folder to write to, got "):
            metarl.train(small_config_file, overrides={"run_dir": str(tmp_path / folder)}, quiet=True)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"seed": 2**64}, "seed"),
        ({"policy.hidden_sizes": [8, 10**30]}, "policy.hidden_sizes.1"),
        ({"environment.options": {"action_scale": 10**400}}, "environment.options.action_scale"),
    ],
)
def test_integers_beyond_64_bits_are_refused(change, key):
    with pytest.raises(ConfigError, match=f"{key}: expected an integer of at most 64 bits, got one of"):
        metarl.read_config("quickstart", change)


def test_a_number_of_thousands_of_digits_in_a_run_folder_is_told(tmp_path):
    """Python writes no such integer out, and reads it where it is hexadecimal."""
    (tmp_path / "config.yaml").write_text(f"seed: 0x{'f' * 5000}\n")
    with pytest.raises(RunError, match=r"config\.yaml: expected numbers of this package's size"):
        config_digest(tmp_path)


def test_a_config_of_endless_text_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text(f"seed: 1{' ' * 100_000}")
    with pytest.raises(ConfigError, match="expected at most 100,000 characters, got 100,007"):
        metarl.read_config(tmp_path / "config.yaml")
