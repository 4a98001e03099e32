"""Callbacks see what happens, and the library's own bar and loggers are callbacks."""

from __future__ import annotations

import io
import json
import sys
import types

import pytest
from test_interruption import TINY

from mamrl import progress
from mamrl.training import Callback, train
from mamrl.training.loggers import TensorBoard, WeightsAndBiases, named_loggers, scalars
from mamrl.training.runs import EXPERIMENT, LOG


class Recorder(Callback):
    def __init__(self):
        self.events = []

    def on_start(self, training):
        self.events.append(("start", training.iteration))

    def on_iteration(self, training, iteration):
        assert iteration.number == training.iteration
        self.events.append(("iteration", iteration.number, iteration.validation_auc is not None))

    def on_validation(self, training, test):
        assert float(test.auc.mean()) == training.last_auc
        self.events.append(("validation", training.iteration))

    def on_end(self, training):
        self.events.append(("end", training.iteration))


def quiet(experiment=TINY, **options):
    return train(experiment, seed=1, **{"progress": False, "tensorboard": False, **options})


def test_a_callback_sees_each_iteration_and_validation_in_order():
    recorder = Recorder()
    quiet(TINY.replace(iterations=3), callbacks=[recorder])
    assert recorder.events == [
        ("start", 0),
        ("iteration", 1, False),
        ("validation", 2),
        ("iteration", 2, True),
        ("validation", 3),
        ("iteration", 3, True),
        ("end", 3),
    ]


def test_what_a_callback_raises_ends_the_training_and_every_callback_is_closed():
    class Stop(Callback):
        def on_validation(self, training, test):
            raise RuntimeError("enough")

    recorder = Recorder()
    with pytest.raises(RuntimeError, match="enough"):
        quiet(callbacks=[Stop(), recorder])
    assert recorder.events[-1] == ("end", 2)


def test_what_is_no_experiment_or_callback_is_named():
    with pytest.raises(TypeError, match=r"experiment is 'ipd', expected an Experiment, such as mamrl\.preset"):
        train("ipd")
    for callbacks in (Callback(), [Callback], [print]):
        with pytest.raises(TypeError, match="expected a list of"):
            train(TINY, callbacks=callbacks)


def test_only_what_a_training_has_is_logged(tmp_path):
    names = []

    class Names(Callback):
        def on_iteration(self, training, iteration):
            names.append(set(scalars(training, iteration)))

    quiet(out=tmp_path / "linear", callbacks=[Names()])
    assert not any("critic" in name or "dropped" in name for name in names[0])
    assert "critic_loss" not in json.loads((tmp_path / "linear" / LOG).read_text().splitlines()[0])
    quiet(
        TINY.replace(agent="lstm", critic="lstm", hidden_size=4, iterations=1),
        out=tmp_path / "lstm",
        callbacks=[Names()],
    )
    assert "train/critic_loss" in names[-1]
    assert json.loads((tmp_path / "lstm" / LOG).read_text())["critic_loss"] > 0


def test_tensorboard_has_the_scalars_and_the_hyperparameters(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    quiet(out=tmp_path / "run", callbacks=[TensorBoard()])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"validation/auc", "reward/position_0", "train/gradient_norm"} <= set(tags)
    for tag in tags:
        assert any(scalar.value for scalar in events.Scalars(tag)), f"{tag} is always 0"
    assert [scalar.step for scalar in events.Scalars("validation/auc")] == [2, 4, 6]
    assert "actor_lr" in str(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)


def test_weights_and_biases_gets_one_run_a_folder(tmp_path, monkeypatch):
    """With a stand-in for the package; it was tried offline with the real one."""
    opened, logged = [], []

    class Run:
        def log(self, values, step):
            logged.append((step, values))

        def finish(self):
            logged.append("finished")

    def init(**options):
        opened.append(options)
        return Run()

    package = types.SimpleNamespace(init=init)
    monkeypatch.setitem(sys.modules, "wandb", package)
    quiet(TINY.replace(iterations=2), out=tmp_path / "run", callbacks=[WeightsAndBiases(group="g")])
    train(TINY, seed=1, out=tmp_path / "run", resume=True, progress=False, callbacks=named_loggers(["wandb"]))
    assert opened[0]["id"] == opened[1]["id"] == (tmp_path / "run" / "wandb-run").read_text().strip()
    assert opened[0]["group"] == "g"
    assert opened[0]["config"]["actor_lr"] == 0.05
    assert [entry[0] for entry in logged if entry != "finished"] == [1, 2, 3, 4, 5, 6]
    assert logged.count("finished") == 2


def test_a_logger_that_is_unknown_or_missing_is_named(monkeypatch):
    with pytest.raises(ValueError, match=r"logger 'tensorbord' .*did you mean 'tensorboard'"):
        named_loggers(["tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="pip install wandb"):
        named_loggers(["wandb"])
    assert named_loggers(["none"]) == []


def test_a_log_file_gets_a_line_now_and_then_and_not_a_bar_that_is_redrawn(capfd):
    quiet(TINY.replace(iterations=40, validation_every=20), progress=True)
    written = capfd.readouterr().err
    assert "\r" not in written
    lines = written.splitlines()
    assert 2 <= len(lines) <= 5
    assert lines[-1].startswith("meta-mapg 40/40")
    assert "validation AUC" in lines[-1]
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize(("columns", "bar", "positions"), [(60, False, False), (110, True, False), (200, True, True)])
def test_a_terminal_shows_what_fits(columns, bar, positions, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    quiet(TINY.replace(chain_length=7, iterations=2), progress=True)
    last = terminal.getvalue().rstrip().split("\r")[-1]
    assert "validation AUC" in last
    assert "left" in last
    assert ("|" in last) == bar
    assert ("by position" in last) == positions


def test_a_bar_that_is_off_writes_nothing(capfd):
    assert list(progress.progress_bar(range(3), enabled=False)) == [0, 1, 2]
    assert capfd.readouterr().err == ""


def test_a_run_records_what_made_it_and_each_session(tmp_path):
    quiet(TINY.replace(iterations=2), out=tmp_path / "run")
    train(None, out=tmp_path / "run", resume=True, progress=False, tensorboard=False)
    record = json.loads((tmp_path / "run" / EXPERIMENT).read_text())
    assert len(record["sessions"]) == 2
    assert {"started", "command", "mamrl", "commit", "torch", "simd", "machine"} == set(record["sessions"][0])
    assert all(record["sessions"][0].values())


def test_without_an_experiment_there_must_be_a_run():
    with pytest.raises(ValueError, match="train needs an experiment"):
        train()
