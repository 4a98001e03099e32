"""Trains a network over pairs of policies: checkpoints to resume from, and a stop when it diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from mamrl import checkpoint as files
from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.networks import PairNetwork

Progress = Callable[[int, int, float], None]


class DivergenceError(ValueError):
    """Training left the finite numbers."""


@dataclass
class Learner:
    """Everything that learns, and that a resumed run needs.

    Attributes:
        loop: One loop of training; returns its loss.
        networks: By name: the one that is trained, and what follows it.
        optimizer: Its moments are saved.
        generator: The only source of random numbers.
        losses: One a loop so far.
    """

    loop: Callable[[], float]
    networks: dict[str, PairNetwork]
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    losses: list[float] = field(default_factory=list)

    def is_finite(self) -> bool:
        """Whether all weights are."""
        return all(bool(torch.isfinite(network.weights).all()) for network in self.networks.values())

    def save(self, path: Path) -> None:
        """Writes the whole file or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "modules": {name: network.state_dict() for name, network in self.networks.items()},
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
        }
        files.save(path, content)

    def load(self, path: Path) -> None:
        """Restores what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or no checkpoint of these networks.
        """
        content = files.load(path)
        try:
            for name, network in self.networks.items():
                network.load_state_dict(content["modules"][name])
            self.optimizer.load_state_dict(content["optimizer"])
            self.generator.set_state(content["generator"])
            self.losses = content["losses"].tolist()
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise ValueError(f"{path} is no checkpoint of this training: {error}") from error


class Settings(Protocol):
    """What a network learns: :class:`mamrl.shaping.meva.MetaValueSettings` and
    :class:`mamrl.shaping.cola.ConsistencySettings`.
    """

    @property
    def loops(self) -> int:
        """Loops in all."""

    @property
    def save_every(self) -> int:
        """Loops from one checkpoint to the next."""

    def start(self, game: DifferentiableGame, network: PairNetwork, generator: torch.Generator) -> Learner:
        """A learner that has learned nothing yet."""


def train(
    game: DifferentiableGame,
    network: PairNetwork,
    settings: Settings,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    until: int | None = None,
) -> list[float]:
    """Trains ``network`` in place.

    Args:
        game: Of two players with policies of the size that the network reads.
        network: See :mod:`mamrl.shaping.networks`.
        settings: Decide what is learned, and how.
        seed: Of everything that is drawn.
        checkpoint: Where the state is saved now and then, and at the end.
        resume: Continue from ``checkpoint`` where it exists; the result equals the unbroken run's.
        progress: Called with (loops done, loops in all, loss) after every loop.
        until: Stop, with a checkpoint, after this many loops in all.

    Returns:
        The loss of every loop.

    Raises:
        ValueError: the game, the network and the settings do not fit together, or ``checkpoint`` is damaged.
        DivergenceError: a loss or parameter is not finite; names the loop and the last good checkpoint.
    """
    network.check_game(game)
    learner = settings.start(game, network, torch.Generator().manual_seed(seed))
    if resume and checkpoint is not None and checkpoint.exists():
        learner.load(checkpoint)
    saved, loops = len(learner.losses), settings.loops
    stop = loops if until is None else min(until, loops)
    while len(learner.losses) < stop:
        loss = learner.loop()
        done = len(learner.losses) + 1
        due = done % settings.save_every == 0 or done == stop
        if not math.isfinite(loss) or (due and not learner.is_finite()):
            good = f"the last good checkpoint is {checkpoint} after {saved} loops" if saved else "nothing was saved"
            raise DivergenceError(f"training diverged in loop {done} of {loops} with a loss of {loss}; {good}")
        learner.losses.append(loss)
        if due and checkpoint is not None:
            learner.save(checkpoint)
            saved = done
        if progress is not None:
            progress(done, loops, loss)
    return learner.losses
