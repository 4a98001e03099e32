"""Stable opponent shaping (Letcher et al. 2019): between LookAhead and LOLA, as near LOLA as is safe."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import check_extrapolation, gradient, inner, leaves, own_gradients, scaled


def sos(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    step_size: float,
    *,
    extrapolation: float = 1.0,
    alignment: float = 0.5,
    radius: float = 0.1,
) -> tuple[Tensor, ...]:
    """Players follow ``ahead + p a chi`` (algorithm 1 of Letcher et al. 2019, signs for maximisation).

    ``ahead_i = df_i/dx_i + a sum_j d2f_i/dx_i dx_j df_j/dx_j`` is first-order LookAhead, ``chi_i = sum_j
    d2f_j/dx_i dx_j df_i/dx_j`` the shaping term, and ``p = min(p_1, p_2)`` for each joint policy: p_1 keeps
    the whole aligned with ``ahead``, and p_2 lets shaping fade near fixed points, so that the game's stable
    ones are kept. For any number of players.

    Args:
        game: The game.
        params: For each player ``(*batch, D_i)``.
        step_size: Of the update.
        extrapolation: a.
        alignment: The share of ``ahead`` that p_1 leaves, in (0, 1).
        radius: Gradient norm, in (0, 1), below which p_2 fades.

    Returns:
        What to add to each player's parameters.

    Raises:
        ValueError: the parameters do not fit the game, or a setting is out of range.
    """
    check_extrapolation(extrapolation)
    for name, value in (("alignment", alignment), ("radius", radius)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be in (0, 1), but {value} was given")
    x = leaves(game, params, step_size)
    values = game.values(x)
    own = own_gradients(values, x, create_graph=True)
    fixed = [g.detach() for g in own]
    ahead, shaping = [], []
    for player, mine in enumerate(x):
        looked, shaped = values[player], torch.zeros_like(values[player])
        for other, theirs in enumerate(x):
            if other != player:
                cross = gradient(values[player], theirs, create_graph=True)
                looked = looked + extrapolation * (cross * fixed[other]).sum(-1)
                shaped = shaped + extrapolation * (cross.detach() * own[other]).sum(-1)
        ahead.append(gradient(looked, mine))
        shaping.append(gradient(shaped, mine))
    along = inner(shaping, ahead)
    against = along < 0
    # the division is by one where shaping already agrees with looking ahead
    safe = alignment * inner(ahead, ahead) / torch.where(against, -along, torch.ones_like(along))
    p_1 = torch.where(against, safe.clamp(max=1.0), torch.ones_like(along))
    square = inner(fixed, fixed)
    p_2 = torch.where(square < radius**2, square, torch.ones_like(square))
    p = torch.minimum(p_1, p_2)
    return scaled([u + p * chi for u, chi in zip(ahead, shaping, strict=True)], step_size)
