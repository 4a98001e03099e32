"""The table as CSV, as text and as a section of docs/rivals.md."""

from __future__ import annotations

import csv
import io
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

from bench.rivals.behind import reason
from bench.rivals.contest import OURS, Row, version_of

COLUMNS = ("topic", "work", "way", "version", "median", "low", "high", "rounds", "ratio", "checked", "note")
_NUMBERS = {"median", "low", "high", "ratio"}
BEGIN, END = "<!-- measured: written by python -m bench.rivals -->", "<!-- end of what was measured -->"
PREFACE = """\
`make bench-rivals` makes an environment of its own from `requirements-rivals.txt`, measures, and writes this section
and the CSV files of [results/rivals](https://github.com/mamrl/mamrl/tree/main/docs/results/rivals);
`python -m bench.rivals gae` in that environment measures one topic again. The ways of a piece of work do the same on
the same single core. Before anything is timed, each one's result is compared with ours: *equal to* is the largest
difference, relative to the largest number. Then all take turns: a time is the median over rounds, beside the middle
half of them, and *to ours* the median of the ratios within a round, above 1 where mamrl is faster. Random numbers are
those of seed 0."""
# a rival this much ahead is one; closer is the noise of a machine
AHEAD = 0.97


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """One line a row; written beside and renamed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(name, getattr(row, name)) for name in COLUMNS])
    _write(path, text.getvalue())


def _cell(name: str, value: object) -> object:
    if name in _NUMBERS:
        assert isinstance(value, float)
        return "" if math.isnan(value) else f"{value:.4g}"
    return value


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(path.suffix + ".part")
    beside.write_text(text)
    beside.replace(path)


def read_rows(folder: Path, topics: Iterable[str]) -> list[Row]:
    """Of every topic's CSV file, in the topics' order."""
    rows = []
    for topic in topics:
        path = folder / f"{topic}.csv"
        if not path.exists():
            continue
        with path.open(newline="") as lines:
            for line in csv.DictReader(lines):
                numbers = {name: float(line[name] or "nan") for name in _NUMBERS}
                texts = {name: line[name] for name in COLUMNS if name not in _NUMBERS and name != "rounds"}
                rows.append(Row(**texts, **numbers, rounds=int(line["rounds"])))
    return rows


def write_machine(path: Path) -> None:
    """What the numbers were measured on and with."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    flags = next((line for line in _lines("/proc/cpuinfo") if line.startswith("flags")), "")
    simd = next((name for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in flags), "baseline")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    )
    facts = {
        "machine": f"{cpu}, {os.cpu_count()} cores, {simd}, {platform.system()}",
        "python": platform.python_version(),
        "torch": version_of("torch"),
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip() or "?",
    }
    _write(path, "".join(f'{name},"{value}"\n' for name, value in facts.items()))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def read_machine(path: Path) -> dict[str, str]:
    """The inverse of :func:`write_machine`; empty where there is no such file."""
    if not path.exists():
        return {}
    with path.open(newline="") as lines:
        return dict(csv.reader(lines))


def seconds(value: float) -> str:
    """Three digits and a unit."""
    if math.isnan(value):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


def spread(row: Row) -> str:
    """The middle half of the rounds."""
    return "" if math.isnan(row.median) else f"{seconds(row.low)} - {seconds(row.high)}"


def ratio(row: Row) -> str:
    return "" if math.isnan(row.ratio) or row.way == OURS else f"{row.ratio:.3g}"


def text_table(rows: Sequence[Row]) -> str:
    lines = []
    for work, group in groupby(rows, key=lambda row: row.work):
        lines.append(work)
        for row in group:
            cells = f"{seconds(row.median):>9}  {spread(row):>21}  {ratio(row):>6}"
            lines.append(f"  {row.way[:48]:48} {cells}  {'; '.join(filter(None, (row.checked, row.note)))}")
    return "\n".join(lines)


def markdown(rows: Sequence[Row], machine: Mapping[str, str]) -> str:
    """The measured section of the page."""
    lines = ["## Measured", ""]
    lines += [PREFACE, ""]
    if machine:
        stack = f"Python {machine['python']}, {machine['torch']}"
        lines += [f"{machine['machine']}; {stack}; {machine['date']}, commit {machine['commit']}.", ""]
    lines += ["| work | way | version | median | middle half | to ours | compared with ours |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    for work, group in groupby((row for row in rows if not _left_out(row)), key=lambda row: row.work):
        label = f"**{work}**"
        for row in group:
            said = "; ".join(filter(None, (row.checked, row.note)))
            cells = (label, row.way, row.version, seconds(row.median), spread(row), ratio(row), said)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            label = ""
    lines += ["", "### Where a rival is ahead", ""]
    ahead = [row for row in rows if not row.way.startswith(OURS) and row.ratio < AHEAD]
    lines += [f"- {row.work}, {row.way} ({row.ratio:.2g}): {reason(row.work, row.way)}" for row in ahead]
    if not ahead:
        lines.append("In no row of this run.")
    left_out = [row for row in rows if _left_out(row)]
    if left_out:
        lines += ["", "### Not measured", ""]
        lines += [f"- {row.work}, {row.way}: {row.checked.removeprefix('left out: ')}" for row in left_out]
    return "\n".join(lines)


def _left_out(row: Row) -> bool:
    return math.isnan(row.median)


def write_page(path: Path, rows: Sequence[Row], machine: Mapping[str, str]) -> None:
    """Puts the measured section between its marks, and leaves the rest of the page as it is.

    Raises:
        ValueError: the page does not have the marks.
    """
    text = path.read_text()
    marked = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not marked.search(text):
        raise ValueError(f"{path} does not have the lines '{BEGIN}' and '{END}'")
    section = f"{BEGIN}\n\n{markdown(rows, machine)}\n\n{END}"
    _write(path, marked.sub(lambda _: section, text))
