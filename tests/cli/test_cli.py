"""The command line: what it prints, and one sentence with status 2 for wrong input."""

from __future__ import annotations

import csv
import re
import stat

import pytest

from mamrl.cli import COMMANDS, main
from mamrl.meta import ALGORITHMS
from mamrl.shaping.named import RULES

TINY = ["--set", "num_trajectories=4", "--set", "horizon=10", "--set", "chain_length=2", "--iterations", "2", "--quiet"]


def tiny_run(folder, *extra: str) -> list[str]:
    return ["train", "ipd-tabular", "--out", str(folder), *TINY, *extra]


def failure(capsys, arguments: list[str]) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.startswith("mamrl: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 200


def test_help_names_every_algorithm_and_rule(capsys):
    for command, names in (("train", ALGORITHMS), ("shape", RULES)):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        told = re.sub(r"-\n +", "-", capsys.readouterr().out)
        assert not [name for name in names if not re.search(rf"\b{name}\b", told)]


def test_train_test_plot_from_the_shell(tmp_path, capsys):
    for algorithm in ("meta-mapg", "meta-pg"):
        assert main(tiny_run(tmp_path / algorithm, "--algorithm", algorithm)) == 0
    runs = [str(tmp_path / algorithm) for algorithm in ("meta-mapg", "meta-pg")]
    assert main(["test", *runs, "--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert "cooperative" in printed
    assert "AUC" in printed
    rows = list(csv.DictReader((tmp_path / "meta-pg" / "test.csv").open()))
    assert [row["position"] for row in rows[:4]] == ["0", "1", "2", "AUC"]
    assert main(["plot", *runs, "--out", str(tmp_path / "figure.png"), "--repeats", "1"]) == 0
    assert main(["plot", *runs, "--out", str(tmp_path / "learning.png"), "--learning"]) == 0
    assert min((tmp_path / name).stat().st_size for name in ("figure.png", "learning.png")) > 10_000


def test_command_line_wins_over_the_preset(capsys):
    assert main(["train", "ipd-tabular", "--algorithm", "meta-pg", "--set", "chains=17", "--show"]) == 0
    shown = capsys.readouterr().out
    assert "meta-pg" in shown
    assert "17" in shown


def test_wrong_names_are_one_sentence(tmp_path, capsys):
    out = str(tmp_path / "run")
    assert "did you mean 'ipd-exact'" in failure(capsys, ["train", "ipd-exat", "--out", out])
    assert "did you mean 'meta-pg'" in failure(capsys, ["train", "ipd", "--algorithm", "meta-gp", "--out", out])
    assert "did you mean 'horizon'" in failure(capsys, ["train", "ipd", "--set", "horison=3", "--out", out])
    assert "expected at least 1" in failure(capsys, ["train", "ipd", "--set", "horizon=0", "--out", out])
    assert "needs a run folder" in failure(capsys, ["train", "ipd"])
    assert not (tmp_path / "run").exists()


def test_wrong_folders_are_one_sentence(tmp_path, capsys):
    assert "holds no run" in failure(capsys, ["test", str(tmp_path)])
    assert "holds no run" in failure(capsys, ["plot", str(tmp_path / "none"), "--out", str(tmp_path / "f.png")])
    (tmp_path / "file").write_text("x")
    assert "is a file" in failure(capsys, tiny_run(tmp_path / "file"))
    assert main(tiny_run(tmp_path / "run")) == 0
    capsys.readouterr()
    assert "already holds a run" in failure(capsys, tiny_run(tmp_path / "run"))


def test_unwritable_output_folder_is_one_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    message = failure(capsys, tiny_run(tmp_path / "file" / "below"))
    assert "Not a directory" in message
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        (locked / "probe").touch()
    except PermissionError:
        assert "Permission denied" in failure(capsys, tiny_run(locked / "run"))
    else:
        (locked / "probe").unlink()  # root writes everywhere: nothing to see


def test_info_names_what_was_built(capsys):
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    for name in ("mamrl", "torch", "SIMD level", "threads", "CUDA kernels", "MuJoCo"):
        assert name in printed
