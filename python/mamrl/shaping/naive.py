"""Naive learning: simultaneous gradient ascent (equation 1 of Cooijmans et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import leaves, scaled


def naive(game: DifferentiableGame, params: Sequence[Tensor], step_size: float) -> tuple[Tensor, ...]:
    """Every player follows ``df_i / dx_i`` as if the others stood still. For any number of players.

    Args:
        game: The game.
        params: For each player ``(*batch, D_i)``.
        step_size: Of the update.

    Returns:
        What to add to each player's parameters, ``(*batch, D_i)``.

    Raises:
        ValueError: the parameters do not fit the game, or the step size is negative or not finite.
    """
    x = leaves(game, params, step_size)
    return scaled(game.values_and_gradients(x)[1], step_size)
