"""Experiments in files say what the command line says."""

import json

import pytest

from mamrl.cli import build_parser, main
from mamrl.cli.completion import script
from mamrl.cli.train import _experiment
from mamrl.config.files import read_config
from mamrl.experiments import preset
from mamrl.training.runs import read_experiment


def parsed(*arguments):
    return _experiment(build_parser().parse_args(["train", *map(str, arguments)]))


def test_a_file_changes_a_preset_and_the_command_line_changes_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('preset = "ipd-exact"\nseed = 3\nactor_lr = 1\nalgorithm = "meta-pg"\n[experiment]\nchains = 7\n')
    experiment, seed = parsed("--config", file, "--set", "chains=9", "--iterations", 5)
    expected = preset("ipd-exact").replace(actor_lr=1.0, algorithm="meta-pg", chains=9, iterations=5)
    assert (experiment, seed) == (expected, 3)
    assert parsed("--config", file, "--seed", 8)[1] == 8


TINY = ["--set", "num_trajectories=4", "--set", "horizon=10", "--set", "chain_length=2", "--set", "chains=2"]


def test_a_runs_own_file_gives_its_experiment_back_and_a_resume_needs_only_the_folder(tmp_path, capsys):
    folder = tmp_path / "run"
    start = ["train", "ipd-tabular", *TINY, "--iterations", "2", "--seed", "5", "--quiet", "--log", "none"]
    assert main([*start, "--out", str(folder)]) == 0
    assert parsed("--config", folder) == read_experiment(folder)
    assert parsed("--config", folder / "experiment.json") == read_experiment(folder)
    assert main(["train", "--resume", "--out", str(folder), "--iterations", "3", "--quiet", "--log", "none"]) == 0
    assert read_experiment(folder)[1] == 5
    assert main(["train", "--resume", "--out", str(folder), "--set", "chains=3", "--quiet"]) == 2
    assert "chains = 2 and not 3" in capsys.readouterr().err
    assert json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["iteration"] == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "actor_lr = ", "is no TOML"),
        ("a.json", "{", "is no JSON"),
        ("a.json", "[1]", "holds no table of fields"),
        ("a.json", "[" * 100000, "is no JSON"),
        ("a.toml", "actor_rl = 1.0", "did you mean 'actor_lr'"),
        ("a.toml", "chains = 2.5", "chains is 2.5, expected a value of type int"),
        ("a.toml", "pcgrad = 1", "pcgrad is 1, expected a value of type bool"),
        ("a.toml", "seed = 1.5", "seed is 1.5, expected an integer"),
        ("a.toml", "preset = 3", "preset is 3, expected a name"),
    ],
)
def test_what_a_file_gets_wrong_is_one_sentence(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["train", "--config", str(tmp_path / "none.toml"), "--out", str(tmp_path / "run")]) == 2
    assert "none.toml" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_completion_knows_commands_options_and_presets():
    text = script("bash", build_parser())
    assert all(f"      {command}) words=" in text for command in ("demo", "train", "test", "sweep", "completion"))
    line = next(line for line in text.splitlines() if line.strip().startswith("train)"))
    assert "--config" in line
    assert "ipd-tabular" in line
    assert "compinit" in script("zsh", build_parser())
