"""Many runs of one experiment: a grid or a list of its fields times seeds, each run in a folder of its own.

``SWEEP/sweep.json`` says what the runs are, ``SWEEP/CELL/seed-N`` holds one; a run is finished when it has been
meta-tested, which is when its ``sweep_test.csv`` is there. So any process can do any share of a sweep, and do it again.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from mamrl.checkpoint import write_text
from mamrl.config import Experiment, parse_assignments
from mamrl.errors import choose
from mamrl.evaluation import confidence_interval
from mamrl.evaluation.statistics import paired_difference
from mamrl.experiments.presets import preset
from mamrl.training import train
from mamrl.training.runs import EXPERIMENT

RECORD, TESTED, TABLE = "sweep.json", "sweep_test.csv", "table.csv"
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        cell: the name of its fields.
        seed: of the training.
        experiment: what is trained.
    """

    cell: str
    seed: int
    experiment: Experiment

    @property
    def folder(self) -> Path:
        """Where it is within the sweep's folder."""
        return Path(self.cell) / f"seed-{self.seed}"


@dataclass(frozen=True)
class Sweep:
    """A preset with several sets of fields, each trained with several seeds.

    Attributes:
        preset: what every run starts from.
        cells: the fields of each set.
        seeds: of the trainings.
        common: fields of every run.

    Raises:
        ValueError: no cell or seed, one of them twice, or fields that make no experiment.
    """

    preset: str
    cells: Sequence[Fields]
    seeds: Sequence[int]
    common: Fields

    def __post_init__(self) -> None:
        if not self.cells or not self.seeds:
            raise ValueError("the sweep has no runs, expected at least one seed and one set of fields")
        for cell in self.cells:
            for name in cell:
                if name in self.common:
                    raise ValueError(f"{name} is set for every run and swept over, expected one of the two")
        names = [run.folder for run in self.runs()]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the sweep has {twice} twice")

    def runs(self) -> list[SweptRun]:
        """All of them, those of one seed beside each other."""
        base = preset(self.preset).replace(**self.common)
        made = [(self._name(cell), base.replace(**cell)) for cell in self.cells]
        return [SweptRun(name, seed, experiment) for seed in self.seeds for name, experiment in made]

    def names(self) -> list[str]:
        """The cells' names, in their order."""
        return [self._name(cell) for cell in self.cells]

    def _name(self, cell: Fields) -> str:
        told = ",".join(f"{name}={value}" for name, value in cell.items())
        return re.sub(r"[^\w.,=+-]", "_", told) or self.preset

    def to_dict(self) -> dict[str, Any]:
        """As ``sweep.json`` holds it."""
        return {
            "preset": self.preset,
            "cells": [dict(cell) for cell in self.cells],
            "seeds": list(self.seeds),
            "common": dict(self.common),
        }


def parse_seeds(text: str) -> list[int]:
    """``"0-9"`` or ``"0,3,5-7"`` -> the seeds.

    Raises:
        ValueError: anything else.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if first > last:
            raise ValueError(f"seeds are '{text}', expected numbers and ranges such as 0-9 or 0,3,5-7")
        seeds.extend(range(first, last + 1))
    return seeds


def parse_grid(axes: Sequence[str]) -> list[dict[str, Any]]:
    """``["algorithm=meta-mapg,meta-pg", "chains=4,8"]`` -> the fields of every combination, the last axis fastest.

    Raises:
        ValueError: an axis without values, with an empty one, twice, or of no field of an experiment.
    """
    values: dict[str, list[Any]] = {}
    for axis in axes:
        name, _, text = axis.partition("=")
        if not all(value.strip() for value in text.split(",")):
            raise ValueError(f"grid '{axis}' is half-written, expected field=value,value,...")
        if name in values:
            raise ValueError(f"grid has {name} twice")
        values[name] = [parse_assignments([f"{name}={value.strip()}"])[name] for value in text.split(",")]
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def read_sweep(path: Path) -> Sweep:
    """The sweep that a TOML file describes: ``preset``, ``seeds``, ``[set]``, and ``[grid]`` or ``[[runs]]``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TOML, or no sweep.
    """
    try:
        record = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    for key in record:
        choose(f"key of {path}", key, ("preset", "seeds", "set", "grid", "runs"))
    if "preset" not in record or ("grid" in record) == ("runs" in record):
        raise ValueError(f"{path} is half-written, expected a preset, and either [grid] or [[runs]]")
    seeds = record.get("seeds", [0])
    if "grid" in record:
        axes = [f"{name}={','.join(map(str, _listed(path, name, values)))}" for name, values in record["grid"].items()]
        cells = parse_grid(axes)
    else:
        cells = [_typed(fields) for fields in record["runs"]]
    numbers = parse_seeds(",".join(map(str, seeds)) if isinstance(seeds, list) else str(seeds))
    return Sweep(record["preset"], cells, numbers, _typed(record.get("set", {})))


def _listed(path: Path, name: str, values: object) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{path}: the grid's {name} is {values!r}, expected a list of values")
    return values


def _typed(fields: Fields) -> dict[str, Any]:
    return parse_assignments([f"{name}={value}" for name, value in fields.items()])


def load_sweep(folder: Path) -> Sweep | None:
    """The sweep that a folder holds, or None.

    Raises:
        ValueError: its record is damaged.
    """
    if not (folder / RECORD).is_file():
        return None
    try:
        record = json.loads((folder / RECORD).read_text())
        return Sweep(record["preset"], record["cells"], record["seeds"], record["common"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / RECORD} is damaged ({error})") from None


def open_folder(folder: Path, sweep: Sweep) -> None:
    """Makes a sweep's folder, or finds that it is this sweep's.

    Raises:
        FileExistsError: it holds another sweep, or a run.
    """
    if (folder / EXPERIMENT).exists():
        raise FileExistsError(f"{folder} holds a run; choose another folder for the sweep")
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{RECORD}.{os.getpid()}"
    write_text(beside, json.dumps(sweep.to_dict(), indent=2) + "\n")
    try:
        # of several that begin at once, one makes the record, and it is whole
        os.link(beside, folder / RECORD)
    except FileExistsError:
        found = load_sweep(folder)
        if found is None or found.to_dict() != sweep.to_dict():
            raise FileExistsError(f"{folder} already holds another sweep; choose another folder") from None
    finally:
        beside.unlink()


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    jobs: int = 1,
    index: int = 0,
    of: int = 1,
    report: Callable[[str], None] = print,
) -> None:
    """Trains and meta-tests a share of a sweep's runs; what is finished is left alone, what was broken off goes on.

    Args:
        sweep: all runs.
        folder: where they go.
        jobs: processes at once, one thread each; 1 is this process.
        index: which share, from 0.
        of: how many shares there are.
        report: is told a line after each run.

    Raises:
        FileExistsError: the folder holds another sweep.
        ValueError: jobs or the share are out of range, or runs failed: names them, after all others were done.
    """
    if jobs < 1 or of < 1 or not 0 <= index < of:
        raise ValueError(f"jobs is {jobs} and share {index} of {of}, expected jobs >= 1 and 0 <= index < of")
    open_folder(folder, sweep)
    todo = [run for run in sweep.runs()[index::of] if not (folder / run.folder / TESTED).is_file()]
    failed = []
    for done, (run, result) in enumerate(_results(todo, folder, jobs), 1):
        report(f"{done}/{len(todo)} {run.folder}: {result}")
        if isinstance(result, Exception):
            failed.append(str(run.folder))
    if failed:
        raise ValueError(f"{len(failed)} of {len(todo)} runs failed: {', '.join(failed)}")


def _results(todo: Sequence[SweptRun], folder: Path, jobs: int) -> Iterator[tuple[SweptRun, str | Exception]]:
    if min(jobs, len(todo)) < 2:
        for run in todo:
            yield run, _train_and_test(run, folder / run.folder)
        return
    # processes are started afresh: a forked one would hang in its parent's thread pools
    with ProcessPoolExecutor(min(jobs, len(todo)), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(_train_and_test, run, folder / run.folder): run for run in todo}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _train_and_test(run: SweptRun, folder: Path) -> str | Exception:
    started = time.perf_counter()
    try:
        begun = (folder / EXPERIMENT).is_file()
        trained = train(run.experiment, seed=run.seed, out=folder, resume=begun, progress=False, tensorboard=False)
        result = trained.test()
    except (ValueError, OSError, FloatingPointError) as error:
        return error
    write_text(folder / TESTED, result.csv())
    return f"AUC {float(result.auc.mean()):+.3f}, {time.perf_counter() - started:.0f} s"


def run_folders(folder: Path) -> list[tuple[str, Path]]:
    """The runs of a sweep's folder, each with its cell's name; any other folder is a run without one."""
    sweep = load_sweep(folder)
    return [("", folder)] if sweep is None else [(run.cell, folder / run.folder) for run in sweep.runs()]


@dataclass(frozen=True)
class Row:
    """A cell's meta-test over its seeds.

    Attributes:
        cell: its name.
        peers: which peers it met.
        auc: mean, and half width of the 95% interval over seeds.
        difference: from the first cell, paired by seed, likewise.
    """

    cell: str
    peers: str
    auc: tuple[float, float]
    difference: tuple[float, float]


def finished(sweep: Sweep, folder: Path) -> tuple[int, int]:
    """How many runs are finished, and how many there are."""
    runs = sweep.runs()
    return sum((folder / run.folder / TESTED).is_file() for run in runs), len(runs)


def table(sweep: Sweep, folder: Path) -> list[Row]:
    """What all runs of a finished sweep came to.

    Raises:
        FileNotFoundError: a run is not finished.
    """
    by_cell: dict[str, list[dict[str, float]]] = {name: [] for name in sweep.names()}
    for run in sweep.runs():
        by_cell[run.cell].append(_aucs(folder / run.folder / TESTED))
    first = by_cell[sweep.names()[0]]
    rows = []
    for peers in first[0]:
        baseline = [auc[peers] for auc in first]
        for cell, aucs in by_cell.items():
            numbers = [auc[peers] for auc in aucs]
            interval = confidence_interval(torch.tensor(numbers, dtype=torch.float64))
            rows.append(Row(cell, peers, interval, paired_difference(numbers, baseline)))
    return rows


def _aucs(file: Path) -> dict[str, float]:
    with file.open(newline="") as text:
        return {row["peers"]: float(row["reward"]) for row in csv.DictReader(text) if row["position"] == "AUC"}


def table_text(rows: Sequence[Row], seeds: int) -> str:
    """The rows for a terminal."""
    width = max(len(row.cell) for row in rows)
    lines = [f"AUC over {seeds} seeds with 95% intervals, and its difference from {rows[0].cell}, paired by seed"]
    for row in rows:
        difference = "" if row.cell == rows[0].cell else f"   difference {_plus_minus(row.difference)}"
        lines.append(f"{row.peers:12} {row.cell:{width}} {_plus_minus(row.auc)}{difference}")
    return "\n".join(lines)


def table_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV text."""
    lines = ["peers,cell,auc,interval,difference,difference_interval"]
    lines += [
        f'{row.peers},"{row.cell}",{row.auc[0]:.5f},{row.auc[1]:.5f},{row.difference[0]:.5f},{row.difference[1]:.5f}'
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _plus_minus(interval: tuple[float, float]) -> str:
    mean, half = interval
    return f"{mean:+.3f}" if half != half else f"{mean:+.3f} ± {half:.3f}"
