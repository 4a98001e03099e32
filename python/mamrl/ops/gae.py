"""Generalized advantage estimation, its transpose, and the autograd between them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, linear, register_autograd

_gae = bind("gae")
_gae_backward = bind("gae_backward")


def gae(
    rewards: Tensor,
    values: Tensor,
    discount: float,
    gae_lambda: float,
    *,
    terminations: Tensor | None = None,
    truncations: Tensor | None = None,
    next_values: Tensor | None = None,
) -> Tensor:
    """Generalized advantages (Schulman et al. 2016, equation 16).

        delta_t = r_t + discount * V_{t+1} - V_t
        A_t = delta_t + discount * gae_lambda * A_{t+1}

    A termination at t drops V_{t+1} and A_{t+1}; a truncation at t keeps V_{t+1} and drops A_{t+1}, since the next row
    belongs to another episode. After the last row the advantage is zero.

    V_{t+1} is ``values[t + 1]``. Where an environment resets itself within the step ("same-step autoreset"), that row
    is the first of the *next* episode, so a truncation needs ``next_values``: the values of the observations that each
    step led to, the final observation at a truncation.

    Args:
        rewards: (T, ...) float32 or float64, time first; any shape behind it, also none.
        values: (T + 1, ...), one row more than rewards; (T, ...) where ``next_values`` is given.
        discount: gamma, in [0, 1].
        gae_lambda: lambda, in [0, 1]: 0 gives the one-step error, 1 the discounted return less the value.
        terminations: (T, ...) bool, or None where no episode terminates.
        truncations: (T, ...) bool, or None where no episode is cut off.
        next_values: (T, ...), V_{t+1} for each row, or None.

    Returns:
        Advantages (T, ...), differentiable to any order in rewards, values and next_values.

    Raises:
        TypeError: a tensor has another dtype than rewards, or a mask is not boolean.
        ValueError: a shape, a device, discount or gae_lambda is not as above.
    """
    return _gae(rewards, values, next_values, terminations, truncations, discount, gae_lambda)


@torch.library.register_fake("mamrl::gae")
def _(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor | None,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    _checks.same_devices(
        rewards=rewards, values=values, next_values=next_values, terminations=terminations, truncations=truncations
    )
    return rewards.new_empty(rewards.shape)


@torch.library.register_fake("mamrl::gae_backward")
def _(
    grad: Tensor,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
    gae_lambda: float,
    separate: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    horizon, batch = grad.shape[0], grad.shape[1:]
    return (
        grad.new_empty(grad.shape),
        grad.new_empty(horizon if separate else horizon + 1, *batch),
        grad.new_empty(horizon if separate else 0, *batch),
    )


def _setup_gae(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, _, next_values, terminations, truncations, discount, gae_lambda = inputs
    ctx.save_for_backward(terminations, truncations)
    ctx.settings = discount, gae_lambda, next_values is not None


def _differentiate_gae(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    rewards, values, next_values = _gae_backward(grad, *ctx.saved_tensors, *ctx.settings)
    separate = ctx.settings[-1]
    return rewards, values, next_values if separate else None, None, None, None, None


def _setup_gae_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _, terminations, truncations, discount, gae_lambda, separate = inputs
    ctx.save_for_backward(terminations, truncations)
    ctx.settings = discount, gae_lambda, separate


def _differentiate_gae_backward(ctx: Any, rewards: Tensor, values: Tensor, next_values: Tensor) -> tuple[Any, ...]:
    # the transpose of a transpose: the advantages of the incoming gradients
    discount, gae_lambda, separate = ctx.settings
    following = next_values if separate else None
    return (
        _gae(rewards, values, following, *ctx.saved_tensors, discount, gae_lambda),
        None,
        None,
        None,
        None,
        None,
    )


register_autograd("gae", _differentiate_gae, setup_context=_setup_gae, tangent=linear(_gae, 3), columns=True)
register_autograd(
    "gae_backward",
    _differentiate_gae_backward,
    setup_context=_setup_gae_backward,
    tangent=linear(_gae_backward, 1),
    columns=True,
)
