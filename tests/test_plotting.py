"""Figures are returned, drawn where one asks for them, and never change how the user's matplotlib draws."""

from __future__ import annotations

import pytest
import torch

import mamrl
from mamrl.cli import main
from mamrl.config import Experiment

plt = pytest.importorskip("matplotlib.pyplot")
from mamrl import plotting  # noqa: E402

TINY = Experiment(
    agent="tabular",
    critic="linear",
    num_trajectories=4,
    horizon=10,
    chain_length=2,
    chains=2,
    iterations=4,
    validation_every=2,
)


def folder_of(tmp_path, name, seed=0, **changes):
    mamrl.train(TINY.replace(**changes), seed=seed, out=tmp_path / name, progress=False, tensorboard=False)
    return tmp_path / name


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    folders = [folder_of(root, f"seed-{seed}", seed) for seed in range(3)]
    return [mamrl.load_run(folder) for folder in folders]


def curves(figure):
    return [line.get_label() for line in figure.axes[-1].get_lines()]


def test_one_experiment_is_one_curve_and_what_differs_stands_in_the_legend(tmp_path, runs):
    others = [mamrl.load_run(folder_of(tmp_path, f"lr-{rate}", own_lr=rate)) for rate in (1.0, 5.0)]
    assert plotting.curves_of(runs) == {"Meta-MAPG, tabular": [0, 1, 2]}
    found = plotting.curves_of([*runs, *others])
    assert found == {
        "Meta-MAPG, tabular, own_lr = 0.1": [0, 1, 2],
        "Meta-MAPG, tabular, own_lr = 1.0": [3],
        "Meta-MAPG, tabular, own_lr = 5.0": [4],
    }
    tests = [(run, run.test(repeats=1)) for run in [*runs, *others]]
    assert curves(plotting.plot_adaptation(tests)) == list(found)


def test_learning_curves_of_seeds_are_a_mean_with_an_interval(runs):
    figure = plotting.plot_learning(runs)
    (axis,) = figure.axes
    (line,) = axis.get_lines()
    by_seed = torch.tensor([[auc for _, auc in mamrl.training.runs.learning_curve(run)] for run in runs])
    assert line.get_label() == "Meta-MAPG, tabular (3 seeds)"
    torch.testing.assert_close(torch.as_tensor(line.get_ydata()), by_seed.mean(0))
    assert len(axis.collections) == 1


def test_figures_are_returned_closed_and_drawn_into_axes_that_are_given(tmp_path, runs):
    before = plt.get_fignums(), plt.get_backend()
    tests = [(run, run.test(repeats=1)) for run in runs]
    figure = plotting.plot_adaptation(tests, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert len(figure.axes) == 2
    assert (plt.get_fignums(), plt.get_backend()) == before
    own, panels = plt.subplots(1, 3)
    assert plotting.plot_adaptation(tests, axes=panels[:2]) is own
    assert plotting.plot_learning(runs, axes=panels[2]) is own
    assert own.number in plt.get_fignums()
    with pytest.raises(ValueError, match="axes has 1 panels, expected 2"):
        plotting.plot_adaptation(tests, axes=panels[0])
    plt.close(own)


def test_no_module_of_the_library_chooses_the_users_backend():
    from pathlib import Path

    for file in Path(mamrl.__file__).parent.rglob("*.py"):
        assert "matplotlib.use(" not in file.read_text(), file


def test_a_folder_that_is_not_there_fails_before_the_tests_are_run(tmp_path, runs, monkeypatch, capsys):
    monkeypatch.setattr("mamrl.training.runs.Run.test", lambda *_, **__: pytest.fail("tested"))
    assert main(["plot", str(runs[0].path), "--out", str(tmp_path / "none" / "a.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_run_and_a_test_are_short_tables_in_text_and_html(runs):
    run = runs[0]
    text, test = repr(run), run.test(repeats=1)
    assert "validation AUC" in text
    assert len(text) < 400
    assert run._repr_html_().count("<tr>") == len(text.splitlines())
    assert repr(test).splitlines()[1:] == test.table().splitlines()
    assert len(repr(test)) < 1000
    assert test._repr_html_().count("<tr>") == len(test.table().splitlines())


def test_completion_shows_what_there_is():
    assert {"train", "preset", "envs", "games", "ops", "load_run", "meta_test", "plotting"} <= set(dir(mamrl))
    assert all(hasattr(mamrl, name) for name in dir(mamrl))
