"""The linear feature baseline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import call

_linear_baseline = torch.ops.mamrl.linear_baseline.default
_WHY_CONSTANT = "linear_baseline is not differentiable"


def linear_baseline(
    observations: Tensor, returns: Tensor, *, num_states: int | None = None, ridge: float = 1e-5
) -> Tensor:
    """Least-squares prediction of returns from [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1] (Duan et al. 2016).

    Every chain has a fit of its own, over its T * K samples. The normal equations are built and solved in float64;
    while they are not numerically positive definite the ridge is multiplied by ten, at most five times. The result is
    the same at any number of threads.

    Args:
        observations: (T, M, K, O) in the dtype of returns, or (T, M, K) int64 states that stand for one-hot vectors of
            ``num_states``; without the chains (T, K, O) or (T, K).
        returns: (T, M, K) float32 or float64, or (T, K).
        num_states: S, needed for int64 observations and refused for others.
        ridge: what is added to the diagonal of the normal equations; positive.

    Returns:
        Predictions in the shape and dtype of returns. Not differentiable.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape, a device, num_states or ridge is not as above, a state is outside [0, num_states), an
            argument requires grad, or the equations stay singular (as with NaN or inf).
    """
    _checks.floating("returns", returns)
    _checks.constant("returns", returns, _WHY_CONSTANT)
    _checks.positive("ridge", ridge)
    if returns.dim() not in (2, 3):
        raise ValueError(f"returns has shape {tuple(returns.shape)}, expected (T, M, K) or (T, K)")
    if isinstance(observations, Tensor) and observations.dtype == torch.int64:
        if num_states is None:
            raise ValueError("num_states is None, expected the number of states that observations index")
        if num_states < 1:
            raise ValueError(f"num_states is {num_states}, expected at least 1")
        _checks.same_device("observations", observations, "returns", returns)
        _checks.shape("observations", observations, returns.shape, " as returns")
    else:
        if num_states is not None:
            raise ValueError(f"num_states is {num_states}, expected None since observations are no int64 states")
        _checks.like("observations", observations, "returns", returns)
        _checks.constant("observations", observations, _WHY_CONSTANT)
        _checks.shape(
            "observations", observations, (*returns.shape, *observations.shape[-1:]), ", those of returns first"
        )
    if returns.dim() == 2:
        return _call(observations.unsqueeze(1), returns.unsqueeze(1), num_states, ridge).squeeze(1)
    return _call(observations, returns, num_states, ridge)


def _call(observations: Tensor, returns: Tensor, num_states: int | None, ridge: float) -> Any:
    return call(_linear_baseline, observations, returns, num_states or 0, ridge)


@torch.library.register_fake("mamrl::linear_baseline")
def _(observations: Tensor, returns: Tensor, num_states: int, ridge: float) -> Tensor:
    return returns.new_empty(returns.shape)


def _refuse(ctx: Any, grad: Tensor) -> Any:
    raise RuntimeError(f"mamrl: {_WHY_CONSTANT}")


torch.library.register_autograd("mamrl::linear_baseline", _refuse)
