"""Discounted returns, their transpose, and the autograd between them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, linear, register_autograd

_returns = bind("discounted_returns")
_returns_backward = bind("discounted_returns_backward")


def discounted_returns(
    rewards: Tensor,
    discount: float,
    *,
    terminations: Tensor | None = None,
    truncations: Tensor | None = None,
    next_values: Tensor | None = None,
) -> Tensor:
    """Discounted returns R_t = r_t + discount * R_{t+1}.

    A termination at t drops R_{t+1}. At a truncation, and at the last row, ``next_values[t]`` stands for R_{t+1}: the
    value of the observation that the step led to; zero where it is None.

    Args:
        rewards: (T, ...) float32 or float64, time first; any shape behind it, also none.
        discount: gamma, in [0, 1].
        terminations: (T, ...) bool, or None where no episode terminates.
        truncations: (T, ...) bool, or None where no episode is cut off.
        next_values: (T, ...), read at truncations and in the last row only, or None.

    Returns:
        Returns (T, ...), differentiable to any order in rewards and next_values.

    Raises:
        TypeError: next_values has another dtype than rewards, or a mask is not boolean.
        ValueError: a shape, a device or discount is not as above.
    """
    return _returns(rewards, next_values, terminations, truncations, discount)


@torch.library.register_fake("mamrl::discounted_returns")
def _(
    rewards: Tensor,
    next_values: Tensor | None,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
) -> Tensor:
    _checks.same_devices(rewards=rewards, next_values=next_values, terminations=terminations, truncations=truncations)
    return rewards.new_empty(rewards.shape)


@torch.library.register_fake("mamrl::discounted_returns_backward")
def _(grad: Tensor, terminations: Tensor | None, truncations: Tensor | None, discount: float) -> tuple[Tensor, Tensor]:
    return grad.new_empty(grad.shape), grad.new_empty(grad.shape)


def _setup_returns(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, next_values, terminations, truncations, ctx.discount = inputs
    ctx.save_for_backward(terminations, truncations)
    ctx.bootstrapped = next_values is not None


def _differentiate_returns(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    rewards, next_values = _returns_backward(grad, *ctx.saved_tensors, ctx.discount)
    return rewards, next_values if ctx.bootstrapped else None, None, None, None


def _setup_returns_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, terminations, truncations, ctx.discount = inputs
    ctx.save_for_backward(terminations, truncations)


def _differentiate_returns_backward(ctx: Any, rewards: Tensor, next_values: Tensor) -> tuple[Tensor | None, ...]:
    # the transpose of a transpose: the returns of the incoming gradients
    return _returns(rewards, next_values, *ctx.saved_tensors, ctx.discount), None, None, None


register_autograd(
    "discounted_returns",
    _differentiate_returns,
    setup_context=_setup_returns,
    tangent=linear(_returns, 2),
    columns=True,
)
register_autograd(
    "discounted_returns_backward",
    _differentiate_returns_backward,
    setup_context=_setup_returns_backward,
    tangent=linear(_returns_backward, 1),
    columns=True,
)
