"""The table of rivals: what is compared before it is timed, and what is written of it. No rival is needed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench.rivals import page
from bench.rivals.__main__ import TOPICS
from bench.rivals.behind import reason
from bench.rivals.contest import OURS, Contest, Row, Way, difference, run


def returning(value):
    return lambda: lambda: value


def missing():
    raise ImportError("No module named 'somebody'")


def broken():
    raise RuntimeError("their library\nfails")


NUMBERS = np.arange(6.0)
CONTEST = Contest(
    "gae",
    "adding",
    [
        Way(OURS, returning(NUMBERS), "mamrl"),
        Way("equal", returning(NUMBERS + 1e-6), "numpy", note="a | b"),
        Way("wrong", returning(NUMBERS + 1)),
        Way("missing", missing),
        Way("broken", broken),
        Way("a share", returning(NUMBERS), calls=4),
    ],
    rounds=3,
    seconds=1e-4,
)


@pytest.fixture(scope="module")
def rows():
    return run(CONTEST, say=lambda text: None)


def test_only_ways_whose_results_are_ours_are_timed(rows):
    ours, equal, wrong, *_ = rows
    assert ours.ratio == 1
    assert equal.checked == "equal to 2e-07"
    assert equal.low <= equal.median <= equal.high
    assert equal.rounds == 3
    assert wrong.checked == "differs by 2.0e-01"
    assert math.isnan(wrong.median)


def test_what_is_not_installed_or_fails_is_left_out_with_the_reason(rows):
    assert rows[3].checked == "left out: No module named 'somebody'"
    assert rows[4].checked == "left out: RuntimeError: their library fails"
    assert math.isnan(rows[3].median)


def test_a_share_of_the_work_counts_as_often_as_it_is_repeated():
    def slept():
        return sum(range(20_000))

    same = Contest(
        "gae", "sum", [Way(OURS, lambda: slept), Way("four", lambda: slept, calls=4)], rounds=5, seconds=1e-3
    )
    assert 2 < run(same)[1].ratio < 8


def test_ours_must_not_fail():
    with pytest.raises(RuntimeError, match="their library"):
        run(Contest("gae", "nothing", [Way(OURS, broken)]))


def test_results_of_another_shape_are_an_error_and_not_numbers_are_different():
    with pytest.raises(ValueError, match=r"shape \(2,\) where \(3,\)"):
        difference(np.zeros(2), np.zeros(3))
    assert difference([np.nan], [1.0]) == math.inf
    assert difference(([1.0], [2.0]), ([1.0], [2.5])) == pytest.approx(0.2)


def test_rows_are_read_back_as_they_were_written(rows, tmp_path):
    page.write_rows(tmp_path / "gae.csv", rows)
    read = page.read_rows(tmp_path, ["gae", "not measured yet"])
    assert [row.way for row in read] == [row.way for row in rows]
    assert read[1].median == pytest.approx(rows[1].median, rel=1e-3)
    assert math.isnan(read[2].median)
    assert read[1].note == "a | b"


def test_the_page_has_a_section_of_its_own_and_says_where_a_rival_is_ahead(rows, tmp_path):
    path = tmp_path / "rivals.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    ahead = Row("gae", "adding", "a faster one", "x 1", 1e-3, 1e-3, 1e-3, 3, 0.5, "equal to 1e-16")
    page.write_machine(tmp_path / "machine.csv")
    page.write_page(path, [*rows, ahead], page.read_machine(tmp_path / "machine.csv"))
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "a \\| b" in text
    assert f"- adding, a faster one (0.5): {reason('adding', 'a faster one')}" in text
    assert "- adding, missing: No module named 'somebody'" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4
    path.write_text("no marks")
    with pytest.raises(ValueError, match="does not have the lines"):
        page.write_page(path, rows, {})


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.3, "12.3 s"), (0.0123, "12.3 ms"), (1.2e-5, "12 us"), (math.nan, "")]
)
def test_times_have_three_digits_and_a_unit(seconds, text):
    assert page.seconds(seconds) == text


def test_every_topic_is_a_file():
    folder = Path(page.__file__).parent
    assert all((folder / f"{topic}.py").is_file() for topic in TOPICS)
