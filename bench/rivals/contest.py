"""A contest: one piece of work, ways to do it, a check that they all do the same, and their times in turns."""

from __future__ import annotations

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OURS = "mamrl"
# a round calls a way as often as fills this many seconds
ROUND = 0.05


@dataclass(frozen=True)
class Way:
    """One way to do the work.

    Attributes:
        name: what the table calls it.
        make: imports, builds and warms up; what it returns is timed. An ImportError leaves the way out.
        package: whose version the table shows; "" is none.
        result: what is compared with ours: called with what ``make`` returned. None takes what that returns itself.
        tolerance: the largest difference from ours, relative to the largest of ours.
        note: what else a reader has to know, a clause.
        calls: how many calls of what was made are the whole work, where it does a share of it.
    """

    name: str
    make: Callable[[], Callable[[], Any]]
    package: str = ""
    result: Callable[[Any], Any] | None = None
    tolerance: float = 1e-4
    note: str = ""
    calls: float = 1.0


@dataclass(frozen=True)
class Contest:
    """What is measured in turns.

    Attributes:
        topic: the file that it comes from.
        work: what every way does.
        ways: ours first.
        rounds: how often each is timed.
        seconds: of one round at least.
    """

    topic: str
    work: str
    ways: Sequence[Way]
    rounds: int = 15
    seconds: float = ROUND


@dataclass
class Row:
    """A line of the table. Times are seconds of the whole work; nothing is timed of a way that was left out.

    Attributes:
        ratio: median over rounds of this way's time to ours in the same round.
        checked: "equal to 1e-07", or why there was nothing to compare; of a way left out, why it was.
    """

    topic: str
    work: str
    way: str
    version: str = ""
    median: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    rounds: int = 0
    ratio: float = float("nan")
    checked: str = ""
    note: str = ""
    times: list[float] = field(default_factory=list, repr=False)


def version_of(package: str) -> str:
    """Name and version, as pip knows them."""
    if not package:
        return ""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def difference(found: Any, expected: Any) -> float:
    """The largest difference of two arrays or sequences of them, relative to the largest number of the expected.

    Raises:
        ValueError: their shapes differ.
    """
    if isinstance(expected, (tuple, list)):
        if len(found) != len(expected):
            raise ValueError(f"{len(found)} arrays where {len(expected)} were expected")
        return max(map(difference, found, expected))
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shape {a.shape} where {b.shape} was expected")
    largest = float(np.abs(b).max(initial=0.0)) or 1.0
    worst = float(np.abs(a - b).max(initial=0.0)) / largest
    return worst if worst == worst else float("inf")


def run(contest: Contest, say: Callable[[str], None] = print) -> list[Row]:
    """Builds every way, compares its result with ours, and times those that agree in turns."""
    rows: list[Row] = []
    timed: list[tuple[Row, Way, Callable[[], Any]]] = []
    expected: Any = None
    for way in contest.ways:
        row = Row(contest.topic, contest.work, way.name, note=way.note)
        rows.append(row)
        try:
            call = way.make()
            row.version = version_of(way.package)
            found = call() if way.result is None else way.result(call)
            if way is contest.ways[0]:
                expected = found
                row.checked = "the measure" if found is not None else "not compared"
            else:
                row.checked = _compared(found, expected, way.tolerance)
        except Exception as error:  # whatever somebody else's library raises must not end the others' measurement
            if way is contest.ways[0]:
                raise
            row.checked = f"left out: {_sentence(error)}"
            say(f"  {contest.work}: {way.name} {row.checked}")
            continue
        if row.checked.startswith("differs"):
            say(f"  {contest.work}: {way.name} {row.checked}, not timed")
            continue
        timed.append((row, way, call))
    _time_in_turns(contest, timed)
    return rows


def _compared(found: Any, expected: Any, tolerance: float) -> str:
    if found is None or expected is None:
        return "not compared"
    worst = difference(found, expected)
    return f"equal to {max(worst, 1e-16):.0e}" if worst <= tolerance else f"differs by {worst:.1e}"


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    name = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
    return (name + text)[:160]


def _time_in_turns(contest: Contest, timed: Iterable[tuple[Row, Way, Callable[[], Any]]]) -> None:
    timed = list(timed)
    counts = []
    for _, _, call in timed:
        started = time.perf_counter()
        call()
        counts.append(max(1, int(contest.seconds / max(time.perf_counter() - started, 1e-9))))
    for _ in range(contest.rounds):
        for (row, way, call), count in zip(timed, counts, strict=True):
            started = time.perf_counter()
            for _ in range(count):
                call()
            row.times.append(way.calls * (time.perf_counter() - started) / count)
    ours = timed[0][0].times
    for row, _, _ in timed:
        row.median, row.rounds = statistics.median(row.times), len(row.times)
        row.low, row.high = quartiles(row.times)
        row.ratio = statistics.median(mine / our for mine, our in zip(row.times, ours, strict=True))


def quartiles(times: Sequence[float]) -> tuple[float, float]:
    """The middle half of the rounds lies between them."""
    if len(times) < 2:
        return times[0], times[0]
    cut = statistics.quantiles(times, n=4, method="inclusive")
    return cut[0], cut[2]
