"""Figures of the Meta-MAPG papers at a tiny size: what they leave, what they share, what they refuse."""

from __future__ import annotations

import csv

import pytest
import torch

from mamrl.experiments import matrix_runs
from mamrl.experiments.matrix_runs import Trained, meta_test_all, run_folder, trained
from mamrl.experiments.registry import Options, figure, figures
from mamrl.games.trajectories import random_keys

NAMED = {
    *("fig2", "fig5a", "fig5b", "fig5c", "fig6a", "fig6b", "fig6c", "fig6d", "table-ood", "fig7", "fig9-fig16"),
    *("workshop-fig1", "workshop-fig3", "lola-dice"),
}


@pytest.fixture
def tiny(monkeypatch):
    """Trainings of one iteration on chains of two positions."""
    whole = matrix_runs.preset

    def small(name):
        return whole(name).replace(chains=2, num_trajectories=4, horizon=8, chain_length=2, iterations=1)

    monkeypatch.setattr(matrix_runs, "preset", small)


def test_every_figure_is_known():
    assert set(figures()) >= NAMED


@pytest.mark.parametrize("name", ["fig5a", "fig6d", "fig9-fig16"])
def test_figures_share_trainings_and_leave_table_picture_and_verdict(name, tmp_path, tiny):
    options = Options(tmp_path, seeds=2)
    verdict = figure(name).reproduce(options).read_text()
    assert f"`mamrl reproduce {name} --seeds 2 --budget full`" in verdict
    assert "minutes of one core" in verdict
    folder = tmp_path / name
    assert (folder / "figure.png").stat().st_size > 1000
    table = next(folder.glob("*.csv"))
    assert len(list(csv.reader(table.open()))) > 4
    shared = tmp_path / "runs" / "ipd-tabular-meta-mapg" / "seed-1" / "log.jsonl"
    before, text = shared.stat().st_mtime_ns, table.read_text()
    figure(name).reproduce(options)
    assert table.read_text() == text
    # the second time nothing was trained again
    assert len(shared.read_text().splitlines()) == 1
    assert before > 0


def test_a_broken_off_training_is_an_error_or_resumed(tmp_path, tiny):
    each = trained(Options(tmp_path), "ipd", "meta-pg")
    longer = Trained(each.label, each.folder, each.experiment.replace(iterations=2))
    meta_test_all([each], Options(tmp_path, seeds=1))
    with pytest.raises(FileExistsError, match="continue it with --resume"):
        meta_test_all([longer], Options(tmp_path, seeds=1))
    (tested,) = meta_test_all([longer], Options(tmp_path, seeds=1, resume=True))
    assert len((run_folder(Options(tmp_path), each, 0) / "log.jsonl").read_text().splitlines()) == 2
    assert tested.auc.shape == (1,)


def test_seeds_trained_side_by_side_draw_from_disjoint_streams(tmp_path, tiny):
    """Keys of different seeds never meet, and the numbers of a seed do not depend on who trains beside it."""
    keys = torch.cat(
        [random_keys(seed, "train", i, position, 4) for seed in range(3) for i in range(5) for position in range(3)]
    )
    assert len(keys.unique(dim=0)) == len(keys)
    wanted = [trained(Options(tmp_path), "ipd", "meta-mapg")]
    apart, together = (
        meta_test_all(wanted, Options(tmp_path / name, seeds=2, jobs=jobs))[0]
        for name, jobs in (("apart", 1), ("together", 2))
    )
    for one, other in zip(apart.runs, together.runs, strict=True):
        assert torch.equal(one.parameters, other.parameters)
    assert not torch.equal(apart.runs[0].parameters, apart.runs[1].parameters)


@pytest.mark.parametrize(
    ("options", "message"), [({"agent": "lsmt"}, "unknown agent 'lsmt'"), ({"jobs": 0}, "jobs must be at least 1")]
)
def test_wrong_options_are_one_sentence(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Options(tmp_path, **options)
