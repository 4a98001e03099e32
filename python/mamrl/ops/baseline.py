"""The linear feature baseline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, register_autograd
from mamrl.ops.tensors import as_tensor

_linear_baseline = bind("linear_baseline")
_WHY_CONSTANT = "linear_baseline is not differentiable"


def linear_baseline(
    observations: Tensor, returns: Tensor, *, num_states: int | None = None, ridge: float = 1e-5
) -> Tensor:
    """Least-squares prediction of returns from [obs, obs^2, t/100, (t/100)^2, (t/100)^3, 1] (Duan et al. 2016).

    Every chain has a fit of its own, over its T * K samples. The normal equations are built and solved in float64; on a
    CPU, products of float32 observations are summed in float32 over 64 samples at a time where the factorisation shows
    that predictions lose nothing by it. While the equations are not numerically positive definite the ridge is
    multiplied by ten, at most five times. The result is the same at any number of threads.

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
    observations, returns = as_tensor("observations", observations), as_tensor("returns", returns)
    _checks.constant("returns", returns, _WHY_CONSTANT)
    _checks.constant("observations", observations, _WHY_CONSTANT)
    if num_states is None and observations.dtype == torch.int64:
        raise ValueError("num_states is None, expected the number of states that observations index")
    if num_states is not None and observations.dtype != torch.int64:
        raise ValueError(f"num_states is {num_states}, expected None since observations are no int64 states")
    return _linear_baseline(observations, returns, num_states or 0, ridge)


@torch.library.register_fake("mamrl::linear_baseline")
def _(observations: Tensor, returns: Tensor, num_states: int, ridge: float) -> Tensor:
    _checks.same_devices(returns=returns, observations=observations)
    return returns.new_empty(returns.shape)


def _refuse(ctx: Any, grad: Tensor) -> Any:
    raise RuntimeError(f"mamrl: {_WHY_CONSTANT}")


register_autograd("linear_baseline", _refuse)
