"""Higher-order LOLA; LOLA is order one (Foerster et al. 2018; appendix B of Cooijmans et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import check_extrapolation, gradient, leaves, own_gradients, scaled

# each order is differentiated through, so that time grows faster than any power of it
HIGHEST_ORDER = 100


def hola(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    step_size: float,
    *,
    extrapolation: float = 1.0,
    order: int = 2,
) -> tuple[Tensor, ...]:
    """Player i follows ``d/dx_i f_i(x_i, x_j + a g_j(x))``, g being the others' HOLA of one order less.

    Order 0 is naive learning, order 1 LOLA. The others' step is exact and differentiated through; a player
    does not extrapolate itself. For any number of players: each extrapolates all others.

    Args:
        game: The game.
        params: For each player ``(*batch, D_i)``.
        step_size: Of the update.
        extrapolation: a, the step size that a player imagines of the others.
        order: From 0 to ``HIGHEST_ORDER``.

    Returns:
        What to add to each player's parameters.

    Raises:
        ValueError: the parameters do not fit the game, or a setting is out of range.
    """
    if not 0 <= order <= HIGHEST_ORDER:
        raise ValueError(f"order must be at least 0 and at most {HIGHEST_ORDER}, but {order} was given")
    check_extrapolation(extrapolation)
    x = leaves(game, params, step_size)
    imagined = own_gradients(game.values(x), x, create_graph=order > 0)
    for level in range(1, order + 1):
        surrogates = []
        for player in range(game.num_players):
            ahead = [own if other == player else own + extrapolation * imagined[other] for other, own in enumerate(x)]
            surrogates.append(gradient(game.values(ahead)[player], x[player], create_graph=level < order))
        imagined = tuple(surrogates)
    return scaled(imagined, step_size)
