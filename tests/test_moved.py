"""Modules by the names that they had before they moved into packages."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import pytest

from mamrl._moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_same_module(old):
    module = importlib.import_module(old)
    assert module is importlib.import_module(MOVED[old])
    assert module.__spec__.name == MOVED[old]


def test_old_names_work_in_a_fresh_interpreter_in_every_form_of_import():
    code = (
        "from mamrl.rollouts import play; from mamrl import reference, personas; import mamrl.agents as agents; "
        "import mamrl.runs; from mamrl.shaping import evaluation; import mamrl.games.trajectories as new; "
        "assert new.play is play and mamrl.reference is reference and mamrl.runs.load_run and evaluation.basin"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_pickled_under_an_old_name_is_read():
    import mamrl.populations.personas as new

    pickled = pickle.dumps(new.personas_for).replace(b"mamrl.populations.personas", b"mamrl.personas")
    # the pickle's length bytes say how long a name is
    pickled = pickled.replace(
        bytes([len("mamrl.populations.personas")]) + b"mamrl", bytes([len("mamrl.personas")]) + b"mamrl"
    )
    frame = pickled.index(b"\x95")
    assert pickle.loads(pickled[:frame] + pickled[frame + 9 :]) is new.personas_for


def test_a_name_that_never_was_is_still_missing():
    with pytest.raises(ModuleNotFoundError, match=r"mamrl\.nothing"):
        importlib.import_module("mamrl.nothing")
