"""What every learning rule is made of: leaves, simultaneous gradients and checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame

#: (game, parameters of each player, step size) -> what to add to the parameters of each player
Rule = Callable[[DifferentiableGame, Sequence[Tensor], float], tuple[Tensor, ...]]


def leaves(game: DifferentiableGame, params: Sequence[Tensor], step_size: float) -> list[Tensor]:
    """The parameters cut from their history, to differentiate in.

    Raises:
        ValueError: the parameters do not fit the game, or the step size is negative or not finite.
    """
    game.check_params(params)
    if not (math.isfinite(step_size) and step_size >= 0):
        raise ValueError(f"step_size must be finite and not negative, but {step_size} was given")
    return [x.detach().requires_grad_() for x in params]


def check_extrapolation(extrapolation: float) -> float:
    """Returns the extrapolation, or raises ValueError where it is negative or not finite."""
    if not (math.isfinite(extrapolation) and extrapolation >= 0):
        raise ValueError(f"extrapolation must be finite and not negative, but {extrapolation} was given")
    return extrapolation


def own_gradients(values: Tensor, x: Sequence[Tensor], *, create_graph: bool = False) -> tuple[Tensor, ...]:
    """``d values[i] / d x[i]`` for every player i: the simultaneous gradient.

    Args:
        values: ``(n, *batch)``.
        x: For each player ``(*batch, D_i)``, in the graph of ``values``.
        create_graph: Keep the result differentiable.
    """
    return tuple(gradient(values[player], own, create_graph=create_graph) for player, own in enumerate(x))


def gradient(value: Tensor, x: Tensor, *, create_graph: bool = False) -> Tensor:
    """``d value / d x`` for each member of the batch; zeros where the value does not depend on x.

    Args:
        value: ``(*batch,)``.
        x: ``(*batch, D)``.
        create_graph: Keep the result differentiable.
    """
    if not value.requires_grad:
        return torch.zeros_like(x)
    (result,) = torch.autograd.grad(value.sum(), x, create_graph=create_graph, retain_graph=True, allow_unused=True)
    return torch.zeros_like(x) if result is None else result


def scaled(directions: Sequence[Tensor], step_size: float) -> tuple[Tensor, ...]:
    """``step_size * direction`` of every player, without a graph."""
    return tuple(step_size * direction.detach() for direction in directions)


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Inner product over all players' parameters together, one a member of the batch, as ``(*batch, 1)``."""
    return torch.stack([(u * v).sum(-1, keepdim=True) for u, v in zip(a, b, strict=True)]).sum(0)
