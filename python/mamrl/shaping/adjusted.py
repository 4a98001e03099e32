"""Consensus optimisation and symplectic gradient adjustment: naive learning corrected against rotation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import inner, leaves, own_gradients, scaled


def consensus(
    game: DifferentiableGame, params: Sequence[Tensor], step_size: float, *, weight: float = 0.1
) -> tuple[Tensor, ...]:
    """Players follow ``g - weight * grad |g|^2 / 2`` with g the simultaneous gradient (Mescheder et al.
    2017).

    Args:
        game: The game, of any number of players.
        params: For each player ``(*batch, D_i)``.
        step_size: Of the update.
        weight: Of the pull towards fixed points.

    Returns:
        What to add to each player's parameters.

    Raises:
        ValueError: the parameters do not fit the game, or the step size is out of range.
    """
    x = leaves(game, params, step_size)
    own = own_gradients(game.values(x), x, create_graph=True)
    pull = torch.autograd.grad(0.5 * inner(own, own).sum(), x)
    return scaled([g - weight * h for g, h in zip(own, pull, strict=True)], step_size)


def symplectic(
    game: DifferentiableGame, params: Sequence[Tensor], step_size: float, *, weight: float = 1.0
) -> tuple[Tensor, ...]:
    """Symplectic gradient adjustment: ``g - weight * A^T g`` in ascent's signs (Balduzzi et al. 2018).

    A is the antisymmetric part of the game's Hessian; the adjustment's sign is chosen for each joint policy
    so that it leads towards stable fixed points and away from unstable ones (algorithm 1 there). Arguments
    and errors are those of :func:`consensus`.
    """
    x = leaves(game, params, step_size)
    own = own_gradients(game.values(x), x, create_graph=True)
    fixed = [g.detach() for g in own]
    # H^T g by one reverse pass; H g by differentiating that pass in the vector
    pull = torch.autograd.grad(own, x, fixed, retain_graph=True)
    vectors = [torch.zeros_like(g, requires_grad=True) for g in own]
    transposed = torch.autograd.grad(own, x, vectors, create_graph=True)
    push = torch.autograd.grad(transposed, vectors, fixed)
    # of the losses -f: gradient -g, Hessian -H, so A^T times the gradient is (H^T g - H g) / 2
    adjustment = [0.5 * (t - h) for t, h in zip(pull, push, strict=True)]
    descent = [-g for g in fixed]
    align = inner(descent, pull) * inner(adjustment, pull)
    dimensions = sum(g.shape[-1] for g in fixed)
    sign = torch.where(align / dimensions + 0.1 >= 0, 1.0, -1.0).to(align)
    directions = [g - weight * sign * a for g, a in zip(fixed, adjustment, strict=True)]
    return scaled(directions, step_size)
