"""mamrl reproduce and mamrl shape from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mamrl.cli import main
from mamrl.experiments.registry import figures


def test_reproduce_without_a_figure_lists_all(capsys: pytest.CaptureFixture[str]):
    assert main(["reproduce"]) == 0
    listed = capsys.readouterr().out
    assert {"meva-1", "meva-2a", "meva-2b", "meva-3a", "meva-3b", "meva-tournament"} <= set(figures())
    assert all(name in listed for name in figures())


@pytest.mark.parametrize("name", ["meva-3a", "meva-tournament"])
def test_a_figure_leaves_a_csv_a_picture_and_a_verdict_and_resumes(name: str, tmp_path: Path):
    arguments = ["reproduce", name, "--budget", "quick", "--seeds", "1", "--out", str(tmp_path), "--training", "0.05"]
    assert main(arguments) == 0
    folder = tmp_path / name
    assert (folder / "figure.png").stat().st_size > 1000
    table = next(folder.glob("*.csv")).read_text()
    assert len(list(csv.reader(table.splitlines()))) > 4
    verdict = (folder / "verdict.md").read_text()
    assert f"mamrl reproduce {name} --seeds 1 --budget quick --training 0.05`" in verdict
    assert "Quick budget" in verdict
    assert main([*arguments, "--resume"]) == 0
    assert next(folder.glob("*.csv")).read_text() == table


def test_shape_plays_rules_and_writes_the_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "values.csv"
    command = ["shape", "ipd", "--rules", "lola", "naive", "--pairs", "8", "--steps", "3", "--out", str(out)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "player 1, lola:" in shown
    assert "player 2, naive:" in shown
    assert "against a best response" in shown
    rows = list(csv.reader(out.read_text().splitlines()))
    assert rows[0] == ["step", "value_1", "value_2"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reproduce", "meva-9"], "unknown figure 'meva-9'"),
        (["reproduce", "meva-1", "--seeds", "0"], "seeds must be at least 1"),
        (["reproduce", "meva-1", "--budget", "huge"], "unknown budget 'huge'"),
        (["reproduce", "meva-1", "--training", "2"], "training must be in (0, 1]"),
        (["shape", "ipd", "--rules", "lolla"], "did you mean 'lola'?"),
        (["shape", "poker"], "unknown game 'poker'"),
        (["shape", "ipd", "--rules", "naive", "naive", "naive"], "--rules takes one rule for all"),
        (["shape", "ipd", "--pairs", "1"], "--pairs must be at least 2"),
        (["shape", "ipd", "--step-size", "nan"], "step_size must be finite"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if arguments[0] == "reproduce":
        arguments = [*arguments, "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
