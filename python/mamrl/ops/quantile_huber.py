"""The quantile regression loss with Huber's smoothing, in one pass with both gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mamrl.ops._call import bind

_quantile_huber = bind("quantile_huber")


class _QuantileHuber(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, predicted: Tensor, target: Tensor) -> Tensor:
        loss, grad_predicted, grad_target = _quantile_huber(predicted, target)
        ctx.save_for_backward(grad_predicted, grad_target)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        grad_predicted, grad_target = ctx.saved_tensors
        row = grad.unsqueeze(-1)
        return (
            row * grad_predicted if ctx.needs_input_grad[0] else None,
            row * grad_target if ctx.needs_input_grad[1] else None,
        )


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
        ValueError: shapes or dtypes disagree.
    """
    if predicted.shape[:-1] != target.shape[:-1] or predicted.dim() == 0 or predicted.dtype != target.dtype:
        raise ValueError(
            f"predicted and target must agree but for the last axis, but {tuple(predicted.shape)} "
            f"{predicted.dtype} and {tuple(target.shape)} {target.dtype} were given"
        )
    if not 1 <= target.shape[-1] <= 256 or predicted.shape[-1] < 1:
        raise ValueError(f"1 to 256 quantiles are needed, but target has {target.shape[-1]}")
    rows = _QuantileHuber.apply(predicted.reshape(-1, predicted.shape[-1]), target.reshape(-1, target.shape[-1]))
    loss: Tensor = rows.reshape(predicted.shape[:-1])
    return loss


@torch.library.register_fake("mamrl::quantile_huber")
def _(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return predicted.new_empty(predicted.shape[0]), torch.empty_like(predicted), torch.empty_like(target)
