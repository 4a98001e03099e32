"""No public function and no command line crashes, hangs, or makes numbers of nothing.

`python tests/fuzz/long.py` does the same for long.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import faces
from odd import GOOD, odd_call, odd_command

SHORT = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def test_every_case_is_a_call_that_works():
    told = {name: faces.attempt(*case) for name, case in faces.CASES.items()}
    assert {name: what for name, what in told.items() if what != "returned"} == {}


@given(st.randoms(use_true_random=False))
@settings(max_examples=500, **SHORT)
def test_odd_arguments_are_refused_by_a_sentence_or_give_finite_numbers(draw):
    name, outcome, arguments = odd_call(draw)
    assert outcome in GOOD, f"{name}: {outcome} of {arguments}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces.fresh_folder(str(tmp_path))
    return tmp_path


def test_odd_command_lines_end_with_status_0_or_2_and_a_sentence(folder):
    @given(st.randoms(use_true_random=False))
    @settings(max_examples=40, **SHORT)
    def check(draw):
        name, outcome, words = odd_command(draw)
        assert outcome in GOOD, f"{name}: {outcome} of {words}"

    check()
