"""The loop around a network's training: checkpoints to resume from, and a stop when it diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from mamrl import checkpoint

Progress = Callable[[int, int, float], None]


class DivergenceError(ValueError):
    """Training left the finite numbers."""


@dataclass
class TrainingState:
    """Everything that a resumed run needs.

    Attributes:
        modules: By name; the parameters of all are saved.
        optimizer: Its moments are saved.
        generator: The only source of random numbers.
        losses: One a loop so far.
    """

    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    losses: list[float] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes the whole file or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
        }
        checkpoint.save(path, content)

    def load(self, path: Path) -> None:
        """Restores what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or no checkpoint of these modules.
        """
        content = checkpoint.load(path)
        try:
            for name, module in self.modules.items():
                module.load_state_dict(content["modules"][name])
            self.optimizer.load_state_dict(content["optimizer"])
            self.generator.set_state(content["generator"])
            self.losses = content["losses"].tolist()
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise ValueError(f"{path} is no checkpoint of this training: {error}") from error


def run_training(
    loop: Callable[[], float],
    state: TrainingState,
    loops: int,
    *,
    file: Path | None = None,
    resume: bool = False,
    every: int = 20,
    progress: Progress | None = None,
    until: int | None = None,
) -> list[float]:
    """Calls ``loop`` until it has run ``loops`` times in all, and returns every loop's loss.

    Args:
        loop: One loop of training; returns its loss.
        state: What ``loop`` works on.
        loops: In all.
        file: Where the state is saved every ``every`` loops and at the end.
        resume: Start from ``file`` where it exists.
        every: See ``file``.
        progress: Called with (done, loops, loss) after every loop.
        until: Stop earlier, with a checkpoint.

    Raises:
        DivergenceError: a loss or parameter is NaN or infinite.
    """
    if resume and file is not None and file.exists():
        state.load(file)
    saved = len(state.losses)
    stop = loops if until is None else min(until, loops)
    while len(state.losses) < stop:
        loss = loop()
        done = len(state.losses) + 1
        finite = math.isfinite(loss)
        due = file is not None and (done % every == 0 or done == stop)
        if due or done == stop:
            finite = finite and all(
                bool(torch.isfinite(p).all()) for module in state.modules.values() for p in module.parameters()
            )
        if not finite:
            good = f"the last good checkpoint is {file} after {saved} loops" if saved else "nothing was saved"
            raise DivergenceError(f"training diverged in loop {done} of {loops} with a loss of {loss}; {good}")
        state.losses.append(loss)
        if due and file is not None:
            state.save(file)
            saved = done
        if progress is not None:
            progress(done, loops, loss)
    return state.losses
