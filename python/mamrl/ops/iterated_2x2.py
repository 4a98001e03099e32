"""Exact values of the iterated 2x2 game with their whole Jacobian, in one pass over the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.ops._call import bind
from mamrl.ops.tensors import as_tensor

_iterated_2x2 = bind("iterated_2x2")


def iterated_2x2(logits_1: Tensor, logits_2: Tensor, payoffs: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    """Values of pairs of memory-one policies and the slopes of both values in both players' logits.

    ``f_i = (1 - d) p_0 (I - d P)^-1 r_i`` (Foerster et al. 2018, LOLA); the conventions are those of
    :class:`mamrl.games.differentiable.Iterated2x2`, whose torch code is this op's reference.

    Args:
        logits_1: ``(B, 5)`` float32 or float64 logits of cooperation: initial, DD, DC, CD, CC, own action
            first.
        logits_2: Likewise for player 2.
        payoffs: ``(2, 4)`` payoffs of both players in DD, DC, CD, CC as player 1 names them.
        discount: In [0, 1).

    Returns:
        Values ``(2, B)`` and slopes ``(2, 2, B, 5)``: ``[i, j]`` is player i's value differentiated in
        player j's logits. Neither carries a graph.

    Raises:
        TypeError: something is neither a tensor nor a NumPy array.
        ValueError: a shape or dtype is wrong, or the discount is outside [0, 1).
    """
    logits_1, logits_2 = as_tensor("logits_1", logits_1), as_tensor("logits_2", logits_2)
    payoffs = as_tensor("payoffs", payoffs)
    batch = logits_1.shape[0] if logits_1.dim() else 0
    for name, tensor, shape in (
        ("logits_1", logits_1, (batch, 5)),
        ("logits_2", logits_2, (batch, 5)),
        ("payoffs", payoffs, (2, 4)),
    ):
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must have the shape {shape}, but {tuple(tensor.shape)} was given")
        if tensor.dtype not in (torch.float32, torch.float64) or tensor.dtype != logits_1.dtype:
            raise ValueError(f"{name} must be float32 or float64 like logits_1, but {tensor.dtype} was given")
    if not 0.0 <= discount < 1.0:
        raise ValueError(f"discount must be in [0, 1), but {discount} was given")
    values, slopes = _iterated_2x2(logits_1.detach(), logits_2.detach(), payoffs, discount)
    return values, slopes


@torch.library.register_fake("mamrl::iterated_2x2")
def _(logits_1: Tensor, logits_2: Tensor, payoffs: Tensor, discount: float) -> tuple[Tensor, Tensor]:
    batch = logits_1.shape[0]
    return logits_1.new_empty((2, batch)), logits_1.new_empty((2, 2, batch, 5))
