"""LookAhead (Zhang and Lesser 2010): evaluate the gradient where the others are about to be."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import check_extrapolation, gradient, leaves, scaled


def lookahead(
    game: DifferentiableGame, params: Sequence[Tensor], step_size: float, *, extrapolation: float = 1.0
) -> tuple[Tensor, ...]:
    """Player i follows ``d/dx_i f_i(x_i, x_j + a stop(df_j/dx_j))``: the others' imagined step is held
    constant.

    For any number of players. Arguments and errors are those of :func:`mamrl.shaping.hola.hola`.
    """
    check_extrapolation(extrapolation)
    x = leaves(game, params, step_size)
    _, steps = game.values_and_gradients(x)
    directions = []
    for player, mine in enumerate(x):
        ahead = [mine if other == player else own + extrapolation * steps[other] for other, own in enumerate(x)]
        directions.append(gradient(game.values(ahead)[player], mine))
    return scaled(directions, step_size)
