"""Sweeps: which runs they are, that any process can do any share of them, one table, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch

from mamrl.cli import main
from mamrl.config import Experiment
from mamrl.evaluation.statistics import paired_difference
from mamrl.experiments import PRESETS, sweep
from mamrl.training import train
from mamrl.training.runs import LAST, load_run

TINY = Experiment(agent="tabular", num_trajectories=4, horizon=5, chain_length=1, chains=2, iterations=2)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", TINY)


def swept(folder, *more):
    return main(["sweep", "tiny", "--out", str(folder), "--jobs", "1", *more])


GRID = ("--seeds", "0-1", "--grid", "algorithm=meta-mapg,meta-pg", "peer_lr=0.5,1")


def test_seeds_are_numbers_and_ranges():
    assert sweep.parse_seeds("0,3,5-7") == [0, 3, 5, 6, 7]


def test_a_grid_is_every_combination_with_typed_values():
    cells = sweep.parse_grid(["algorithm=meta-mapg,meta-pg", "chains=4,8"])
    assert cells[1] == {"algorithm": "meta-mapg", "chains": 8}
    assert len(cells) == 4


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "grid"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", TINY)
        assert swept(folder, *GRID, "--index", "0", "--of", "2") == 0
        assert not (folder / sweep.TABLE).exists()
        assert swept(folder, *GRID, "--index", "1", "--of", "2") == 0
    return folder


def test_shares_make_the_whole_with_a_folder_a_run(done):
    assert len(list(done.glob("*/seed-*/" + sweep.TESTED))) == 8
    run = load_run(done / "algorithm=meta-pg,peer_lr=0.5" / "seed-1", "last")
    alone = train(TINY.replace(algorithm="meta-pg", peer_lr=0.5), seed=1, progress=False)
    assert run.iteration == 2
    assert torch.equal(load_run(done / "algorithm=meta-pg,peer_lr=0.5" / "seed-1").parameters, alone.parameters)


def test_the_table_has_intervals_over_seeds_and_differences_paired_by_seed(done, capsys):
    assert swept(done, *GRID) == 0
    text = capsys.readouterr().out
    assert "AUC over 2 seeds" in text
    assert "paired by seed" in text
    found = sweep.load_sweep(done)
    rows = {(row.cell, row.peers): row for row in sweep.table(found, done)}
    assert len(rows) == 4 * 3
    aucs = {
        cell: [float(load_run(done / cell / f"seed-{seed}").test().auc.mean()) for seed in (0, 1)]
        for cell in found.names()[:2]
    }
    first, second = aucs.values()
    row = rows[found.names()[1], "all"]
    assert row.auc[0] == pytest.approx(sum(second) / 2, abs=1e-4)
    assert row.difference == pytest.approx(paired_difference(second, first), abs=1e-3)
    assert (done / sweep.TABLE).read_text().count("\n") == 1 + 4 * 3


def test_what_is_finished_is_left_alone_and_what_was_broken_off_goes_on(tmp_path):
    folder, broken, whole = tmp_path / "sweep", "seed-1", tmp_path / "whole"
    swept(folder, "--seeds", "0-1")
    before = (folder / "tiny" / "seed-0" / LAST).stat().st_mtime_ns
    (folder / "tiny" / broken / sweep.TESTED).unlink()
    train(TINY, seed=1, out=whole, progress=False, tensorboard=False)
    assert swept(folder, "--seeds", "0-1") == 0
    assert (folder / "tiny" / "seed-0" / LAST).stat().st_mtime_ns == before
    assert (folder / "tiny" / broken / sweep.TESTED).is_file()
    assert torch.equal(load_run(whole).parameters, load_run(folder / "tiny" / broken).parameters)


def test_a_run_that_fails_is_named_after_the_others_are_done(tmp_path, capsys):
    folder = tmp_path / "sweep"
    assert swept(folder, "--seeds", "0") == 0
    (folder / "tiny" / "seed-0" / LAST).write_bytes(b"broken")
    (folder / "tiny" / "seed-0" / sweep.TESTED).unlink()
    assert swept(folder, "--seeds", "0") == 2
    assert "1 of 1 runs failed: tiny/seed-0" in capsys.readouterr().err


def test_a_toml_file_is_a_grid_or_a_list(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('preset = "tiny"\nseeds = "0-2"\n[set]\nchains = 3\n[grid]\npcgrad = [true, false]\n')
    found = sweep.read_sweep(file)
    assert [run.experiment.pcgrad for run in found.runs()[:2]] == [True, False]
    assert {run.experiment.chains for run in found.runs()} == {3}
    assert len(found.runs()) == 6
    file.write_text('preset = "tiny"\nseeds = [4]\n[[runs]]\nchains = 3\n[[runs]]\nchains = 4\npcgrad = true\n')
    assert sweep.read_sweep(file).names() == ["chains=3", "chains=4,pcgrad=True"]


def test_plot_takes_a_sweep(done, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "figure.png"
    assert main(["plot", str(done), "--out", str(picture), "--repeats", "1"]) == 0
    assert picture.stat().st_size > 1000
    assert [label for label, _ in sweep.run_folders(done)][:2] == sweep.load_sweep(done).names()[:2]


REFUSED = {
    "field": (["--grid", "algoritm=meta-pg"], "unknown field 'algoritm' (did you mean 'algorithm'?)"),
    "value": (["--grid", "algorithm=meta-mapp"], "unknown algorithm 'meta-mapp'"),
    "no values": (["--grid", "algorithm"], "grid 'algorithm' is half-written"),
    "half a list": (["--grid", "algorithm=meta-pg,"], "grid 'algorithm=meta-pg,' is half-written"),
    "axis twice": (["--grid", "chains=1", "chains=2"], "grid has chains twice"),
    "value twice": (["--grid", "chains=2,2"], "the sweep has chains=2/seed-0 twice"),
    "set too": (["--grid", "chains=1,2", "--set", "chains=3"], "chains is set for every run and swept over"),
    "seeds": (["--seeds", "9-0"], "seeds are '9-0'"),
    "share": (["--index", "2", "--of", "2"], "share 2 of 2"),
    "jobs": (["--jobs", "0"], "jobs is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence_status_2_and_nothing_written(case, tmp_path, capsys):
    options, sentence = REFUSED[case]
    assert swept(tmp_path / "sweep", *options) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "sweep").exists()


def test_two_sweeps_into_one_folder_are_refused(done, capsys):
    before = (done / sweep.RECORD).read_bytes()
    assert swept(done, "--seeds", "0-1") == 2
    assert "already holds another sweep" in capsys.readouterr().err
    assert (done / sweep.RECORD).read_bytes() == before
    assert swept(done / "algorithm=meta-pg,peer_lr=1.0" / "seed-0") == 2
    assert "holds a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('preset = "tiny"\nseeds = "0-2"\n', "is half-written"),
        ('preset = "tiny"\n[grid]\nchains = 3\n', "expected a list of values"),
        ('preset = "tiny"\nseed = 1\n[grid]\nchains = [3]\n', "unknown key of"),
        ('preset = "tiny"\n[grid\n', "is no TOML"),
    ],
)
def test_a_half_written_file_is_refused(tmp_path, text, sentence, capsys):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert main(["sweep", str(file), "--out", str(tmp_path / "sweep")]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / sweep.RECORD).write_text(json.dumps({"preset": "tiny"}))
    with pytest.raises(ValueError, match=r"sweep.json is damaged"):
        sweep.load_sweep(tmp_path)
