"""What every reproduced figure leaves behind: a CSV, a picture, and a verdict in Markdown."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mamrl import __version__
from mamrl.checkpoint import write_text
from mamrl.experiments.registry import Options
from mamrl.provenance import commit, machine


@dataclass(frozen=True)
class Check:
    """A number that must come out.

    Attributes:
        what: The quantity.
        measured: Over all seeds.
        low: The least that is accepted.
        high: The most.
    """

    what: str
    measured: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the measured number is within the bounds."""
        return self.low <= self.measured <= self.high


@dataclass
class Report:
    """Gathers a figure's results.

    Attributes:
        folder: Where everything is written.
        title: Of the verdict.
        command: That gives this result again.
        started: Of the work, for its duration.
    """

    folder: Path
    title: str
    command: str
    started: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Writes a CSV whole."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in rows)
        write_text(self.folder / name, text.getvalue())

    def verdict(self, claim: str, checks: Sequence[Check], notes: Sequence[str] = ()) -> Path:
        """Writes verdict.md: what was claimed, what came out, and how to get it again."""
        lines = [f"# {self.title}", "", claim, ""]
        if checks:
            lines += ["| quantity | measured | expected | holds |", "|---|---|---|---|"]
            lines += [
                f"| {c.what} | {c.measured:.7g} | {_bounds(c)} | {'yes' if c.holds else '**no**'} |" for c in checks
            ]
            held = sum(c.holds for c in checks)
            lines += ["", f"{held} of {len(checks)} hold."]
        lines += ["", *(f"- {note}" for note in notes)]
        lines += [
            f"- Command: `{self.command}`",
            f"- Machine: {machine()}; {time.time() - self.started:.0f} s for this command (what it resumed from an "
            "earlier one not counted)",
            f"- mamrl {__version__}, commit {commit()}, torch {torch.__version__}",
            "",
        ]
        path = self.folder / "verdict.md"
        write_text(path, "\n".join(lines))
        return path


def _bounds(check: Check) -> str:
    if check.low == -float("inf"):
        return f"<= {check.high:.7g}"
    if check.high == float("inf"):
        return f">= {check.low:.7g}"
    return f"{check.low:.7g} to {check.high:.7g}"


def command(figure: str, options: Options) -> str:
    """The command line that reproduces a figure."""
    shorter = f" --training {options.training:g}" if options.training < 1 else ""
    agent = f" --agent {options.agent}" if options.agent != "tabular" else ""
    return f"mamrl reproduce {figure} --seeds {options.seeds} --budget {options.budget}{shorter}{agent}"


def mean_over_seeds(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)
