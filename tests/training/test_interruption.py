"""Wherever a training is stopped, a state between two iterations is kept, and a resume gives the unbroken run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from mamrl import checkpoint
from mamrl.config import Experiment
from mamrl.training import Callback, train
from mamrl.training.folder_lock import locked
from mamrl.training.runs import LAST, LOG

TINY = Experiment(
    agent="tabular",
    critic="linear",
    num_trajectories=4,
    horizon=10,
    chain_length=2,
    chains=3,
    iterations=6,
    validation_every=2,
    actor_lr=0.05,
    own_lr_lr=0.05,
)


def quiet(**options):
    return train(TINY, seed=1, progress=False, tensorboard=False, **options)


def log_without_times(folder):
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    quiet(out=folder)
    return folder


def assert_same_run(folder, whole):
    first, second = (checkpoint.load(each / LAST) for each in (folder, whole))
    for name in ("parameters", "own_lr", "generator"):
        assert torch.equal(first[name], second[name]), name
    assert first["best_auc"] == second["best_auc"]
    assert log_without_times(folder) == log_without_times(whole)


# inside a step once the optimisers have moved, in a validation, while its line is logged
PLACES = (
    "mamrl.training.learner.Learner.step",
    "mamrl.training.loop.adapt_to_population",
    "mamrl.training.loggers.JsonLines.on_iteration",
)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_anywhere_then_resume_gives_the_unbroken_run(place, call, after, tmp_path, monkeypatch, whole):
    import importlib

    holder, _, attribute = place.rpartition(".")
    try:
        owner = importlib.import_module(holder)
    except ModuleNotFoundError:
        module, _, name = holder.rpartition(".")
        owner = getattr(importlib.import_module(module), name)
    original, calls = getattr(owner, attribute), []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == call and not after:
            raise KeyboardInterrupt
        result = original(*args, **kwargs)
        if len(calls) == call:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, attribute, interrupted)
        with pytest.raises(KeyboardInterrupt):
            quiet(out=tmp_path / "run")
    quiet(out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


class Slow(Callback):
    """So that a signal has time to arrive."""

    def on_iteration(self, training, iteration):
        print(iteration.number, flush=True)
        time.sleep(0.05)


SCRIPT = """
import signal
import sys
# a shell's background jobs ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
from test_interruption import Slow, TINY
from mamrl.training import train
train(TINY.replace(iterations=400, validation_every=400), seed=1, out={out!r}, progress=False, callbacks=[Slow()])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_what_no_validation_has_saved_yet(number, tmp_path):
    script = SCRIPT.format(tests=os.path.dirname(__file__), out=str(tmp_path / "run"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    while process.stdout.readline().strip() != "3":
        assert process.poll() is None
    process.send_signal(number)
    process.stdout.read()
    assert process.wait() == (143 if number == signal.SIGTERM else -number if process.returncode < 0 else 1)
    saved = checkpoint.load(tmp_path / "run" / LAST)
    assert saved["iteration"] >= 2
    assert len(log_without_times(tmp_path / "run")) >= saved["iteration"]


def test_a_line_is_logged_before_its_checkpoint_and_a_surplus_one_is_dropped(tmp_path, monkeypatch, whole):
    def dies(path, state):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr("mamrl.training.loop.checkpoint.save", dies)
        with pytest.raises(OSError, match="no space"):
            quiet(out=tmp_path / "run")
    assert len(log_without_times(tmp_path / "run")) == 2
    quiet(out=tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


def test_a_second_process_is_told_who_trains_in_a_folder(tmp_path):
    quiet(out=tmp_path / "run")
    with (
        locked(tmp_path / "run"),
        pytest.raises(BlockingIOError, match=f"is being trained by process {os.getpid()} on"),
    ):
        quiet(out=tmp_path / "run", resume=True)
    quiet(out=tmp_path / "run", resume=True)


def test_a_checkpoint_is_written_between_validations_too(tmp_path, monkeypatch):
    monkeypatch.setattr("mamrl.training.loop.CHECKPOINT_EVERY", 0.0)
    seen = []

    class Look(Callback):
        def on_iteration(self, training, iteration):
            file = training.folder / LAST
            seen.append(checkpoint.load(file)["iteration"] if file.is_file() else 0)

    quiet(out=tmp_path / "run", callbacks=[Look()])
    assert seen == [0, 1, 2, 3, 4, 5]
