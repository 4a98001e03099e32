"""GELU in its tanh form, in one pass with its slope."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        value, slope = torch.ops.mamrl.gelu_with_slope(x)
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return grad * slope


def gelu(x: Tensor) -> Tensor:
    """``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` (Hendrycks and Gimpel 2016).

    Args:
        x: Any shape, float32 or float64.

    Returns:
        The shape and dtype of ``x``; differentiable once (a second derivative raises). Tensors that are not
        on the CPU go to torch's own function.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return torch.nn.functional.gelu(x, approximate="tanh")
    value: Tensor = _Gelu.apply(x)
    return value


@torch.library.register_fake("mamrl::gelu_with_slope")
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x)
