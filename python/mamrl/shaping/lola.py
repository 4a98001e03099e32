"""LOLA: learning with opponent-learning awareness (Foerster et al. 2018), exact and first-order."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import check_extrapolation, gradient, leaves, own_gradients, scaled
from mamrl.shaping.hola import hola


def lola(
    game: DifferentiableGame, params: Sequence[Tensor], step_size: float, *, extrapolation: float = 1.0
) -> tuple[Tensor, ...]:
    """Player i follows ``d/dx_i f_i(x_i, x_j + a df_j/dx_j)`` through the others' imagined naive step.

    Arguments and errors are those of :func:`mamrl.shaping.hola.hola`, of which this is order 1.
    """
    return hola(game, params, step_size, extrapolation=extrapolation, order=1)


def lola_taylor(
    game: DifferentiableGame, params: Sequence[Tensor], step_size: float, *, extrapolation: float = 1.0
) -> tuple[Tensor, ...]:
    """LOLA's first-order form: player i follows ``d/dx_i [f_i + a sum_j stop(df_i/dx_j) . df_j/dx_j]``.

    It differs from the exact form in the terms of order a^2 and in holding ``df_i/dx_j`` constant. Arguments
    and errors are those of :func:`mamrl.shaping.hola.hola`.
    """
    check_extrapolation(extrapolation)
    x = leaves(game, params, step_size)
    values = game.values(x)
    own = own_gradients(values, x, create_graph=True)
    directions = []
    for player, mine in enumerate(x):
        objective = values[player]
        for other, theirs in enumerate(x):
            if other != player:
                weight = gradient(values[player], theirs)
                objective = objective + extrapolation * (weight * own[other]).sum(-1)
        directions.append(gradient(objective, mine))
    return scaled(directions, step_size)
