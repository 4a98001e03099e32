"""Trains the networks that figures are drawn with, or takes up what an earlier run left."""

from __future__ import annotations

from pathlib import Path

from mamrl.experiments.registry import Options
from mamrl.games.differentiable import DifferentiableGame
from mamrl.progress import progress_bar
from mamrl.shaping.networks import PairNetwork
from mamrl.shaping.training import Settings, train


def trained(
    name: str,
    game: DifferentiableGame,
    network: PairNetwork,
    settings: Settings,
    seed: int,
    checkpoint: Path,
    options: Options,
) -> str:
    """Trains a network in place for as long as the options say.

    Args:
        name: What is learned, for the progress bar.
        game: See :func:`mamrl.shaping.training.train`.
        network: Likewise.
        settings: Likewise.
        seed: Likewise.
        checkpoint: Likewise; with ``options.resume`` one that is already further is used as it is.
        options: The share of the training, whether to resume, and where to train.

    Returns:
        A sentence that says how far the network was trained.
    """
    with progress_bar(total=settings.loops, desc=f"{name}, seed {seed}") as bar:

        def advance(done: int, total: int, loss: float) -> None:
            bar.update(done - bar.n)
            bar.set_postfix(loss=f"{loss:.3g}", refresh=False)

        losses = train(
            game,
            network.to(options.device),
            settings,
            seed=seed,
            checkpoint=checkpoint,
            resume=options.resume,
            progress=advance,
            until=options.share(settings.loops),
        )
    # what is drawn with it runs on the CPU
    network.to("cpu")
    return f"{name}, seed {seed}: trained for {len(losses)} of {settings.loops} loops."
