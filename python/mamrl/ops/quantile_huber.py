"""The quantile regression loss with Huber's smoothing, in one pass with both gradients."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, filled, register_autograd, underivable
from mamrl.ops.tensors import as_tensor

_quantile_huber = bind("quantile_huber")
_NO_SECOND = "mamrl: quantile_huber has one derivative here, and a second was asked for"


def quantile_huber(predicted: Tensor, target: Tensor) -> Tensor:
    """Quantile regression with Huber's loss, threshold 1 (Dabney et al. 2018, equation 10).

    ``sum_i mean_j |tau_i - 1[u_ij < 0]| huber(u_ij)``, ``u_ij = target_j - predicted_i``, ``tau_i = (i + 1/2)
    / Q``.

    Args:
        predicted: ``(..., Q)``, float32 or float64.
        target: ``(..., Q')``, the same leading shape and dtype, at most 256 quantiles.

    Returns:
        ``(...)``; differentiable once in both (a second derivative raises).

    Raises:
        TypeError: predicted or target is no tensor of a floating dtype.
        ValueError: shapes or dtypes disagree.
    """
    predicted, target = as_tensor("predicted", predicted), as_tensor("target", target)
    _checks.floating("predicted", predicted)
    _checks.floating("target", target)
    if predicted.shape[:-1] != target.shape[:-1] or predicted.dim() == 0 or predicted.dtype != target.dtype:
        raise ValueError(
            f"predicted and target must agree but for the last axis, but {tuple(predicted.shape)} "
            f"{predicted.dtype} and {tuple(target.shape)} {target.dtype} were given"
        )
    if not 1 <= target.shape[-1] <= 256 or predicted.shape[-1] < 1:
        raise ValueError(f"1 to 256 quantiles are needed, but target has {target.shape[-1]}")
    leading = predicted.shape[:-1]
    rows = math.prod(leading)
    flat = predicted.reshape(rows, predicted.shape[-1]), target.reshape(rows, target.shape[-1])
    loss: Tensor = _quantile_huber(*flat)[0].reshape(leading)
    return loss


@torch.library.register_fake("mamrl::quantile_huber")
def _(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return predicted.new_empty(predicted.shape[0]), torch.empty_like(predicted), torch.empty_like(target)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*inputs, *output[1:])


def _differentiate(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, Tensor | None]:
    predicted, target, *slopes = ctx.saved_tensors
    row = grad.unsqueeze(-1)
    if torch.is_grad_enabled():
        # the slopes are functions of both, which nothing but these zeros says
        zeros = sum(0 * x.sum(-1, keepdim=True) for x in underivable(_NO_SECOND, predicted, target))
        slopes = [slope + zeros for slope in slopes]
    return (
        row * slopes[0] if ctx.needs_input_grad[0] else None,
        row * slopes[1] if ctx.needs_input_grad[1] else None,
    )


def _tangent(
    inputs: tuple[Any, ...], outputs: tuple[Tensor, ...], tangents: tuple[Tensor | None, ...]
) -> tuple[Tensor, None, None]:
    slopes = outputs[1:]
    moved = [(s * t).sum(-1) for s, t in zip(slopes, filled(tangents, inputs), strict=True)]
    return moved[0] + moved[1], None, None


register_autograd("quantile_huber", _differentiate, setup_context=_setup, tangent=_tangent)
