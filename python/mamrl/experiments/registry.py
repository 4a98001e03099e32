"""The figures that ``mamrl reproduce`` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from mamrl.device import resolve_device
from mamrl.errors import choose

#: modules that define figures, each with a tuple FIGURES
_MODULES = (
    "zero_sum",
    "adaptation",
    "populations",
    "dynamics",
    "two_meta_agents",
    "logistic",
    "iterated",
    "rules_tournament",
)
AGENTS = ("tabular", "lstm")


@dataclass(frozen=True)
class Options:
    """How a figure is reproduced.

    Attributes:
        out: Folder that receives a folder of the figure's name.
        seeds: How many, counted from 0.
        budget: "full" as in the paper, or "quick": minutes, to see that everything runs; its verdict says
            that it is quick.
        resume: Continue from what an earlier run left in ``out``.
        training: Share of the paper's training of networks; a checkpoint that is already further is used as it is.
        agent: Of the matrix games' meta-agents: "tabular", in minutes, or the papers' "lstm", in hours.
        jobs: How many trainings of the matrix games run side by side, each in a process with one thread.
        device: Where agents and networks are trained: "cpu", or "cuda" where mamrl was built with it.
    """

    out: Path
    seeds: int = 3
    budget: str = "full"
    resume: bool = False
    training: float = 1.0
    agent: str = "tabular"
    jobs: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        choose("budget", self.budget, ("quick", "full"))
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, but {self.seeds} was given")
        choose("agent", self.agent, AGENTS)
        resolve_device(self.device)
        if self.jobs < 1:
            raise ValueError(f"jobs must be at least 1, but {self.jobs} was given")
        if not 0 < self.training <= 1:
            raise ValueError(f"training must be in (0, 1], but {self.training} was given")

    @property
    def quick(self) -> bool:
        """Whether the budget is the quick one."""
        return self.budget == "quick"

    def share(self, loops: int) -> int:
        """How many of the paper's training loops to run; the quick budget runs one in a hundred."""
        return max(1, round(loops * self.training / (100 if self.quick else 1)))

    @property
    def notes(self) -> list[str]:
        """What a verdict must say of these options."""
        quick = "Quick budget: hardly any training, few steps and pairs; the checks are not expected to hold."
        return [quick] * self.quick


@dataclass(frozen=True)
class Figure:
    """A figure of a paper.

    Attributes:
        name: What ``mamrl reproduce`` calls it.
        title: What it shows.
        claim: What must come out.
        minutes: Of the full budget on one core with nothing beside it.
        reproduce: Writes CSV, PNG and verdict.md into a folder, and returns the verdict's path.
    """

    name: str
    title: str
    claim: str
    minutes: float
    reproduce: Callable[[Options], Path]


@cache
def figures() -> dict[str, Figure]:
    """All figures by name."""
    found = [figure for name in _MODULES for figure in import_module(f"mamrl.experiments.{name}").FIGURES]
    return {figure.name: figure for figure in found}


def figure(name: str) -> Figure:
    """The figure of this name.

    Raises:
        ValueError: there is no such figure; names the nearest.
    """
    return figures()[choose("figure", name, figures())]
