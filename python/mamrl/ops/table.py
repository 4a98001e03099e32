"""Per-chain tables read at indices, and the transpose, which sums into them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, linear, register_autograd

_lookup = bind("table_lookup")
_accumulate = bind("table_accumulate")


def table_lookup(table: Tensor, index: Tensor) -> Tensor:
    """Reads each chain's own table: out[t, m, k] = table[m, index[t, m, k]].

    Args:
        table: (M, R) float32 or float64.
        index: (T, M, K) int64, each in [0, R).

    Returns:
        (T, M, K), differentiable to any order in table; its transpose is :func:`table_accumulate`.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape or a device is not as above, or an index is outside [0, R).
    """
    return _lookup(table, index)


def table_accumulate(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
    """Sums values into each chain's own table: out[m, r] = sum of values[t, m, k] over index[t, m, k] = r.

    Args:
        values: (T, M, K) float32 or float64; their sums run in float64.
        index: (T, M, K) int64, each in [0, num_rows).
        num_rows: R, at least 0.

    Returns:
        (M, R), differentiable to any order in values; its transpose is :func:`table_lookup`.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape, a device or num_rows is not as above, or an index is outside [0, num_rows).
    """
    return _accumulate(values, index, num_rows)


@torch.library.register_fake("mamrl::table_lookup")
def _(table: Tensor, index: Tensor) -> Tensor:
    _checks.same_devices(table=table, index=index)
    return table.new_empty(index.shape)


@torch.library.register_fake("mamrl::table_accumulate")
def _(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
    _checks.same_devices(values=values, index=index)
    return values.new_empty(values.shape[1], num_rows)


def _setup_lookup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    table, index = inputs
    ctx.save_for_backward(index)
    ctx.num_rows = table.shape[1]


def _differentiate_lookup(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _accumulate(grad, *ctx.saved_tensors, ctx.num_rows), None


def _setup_accumulate(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, index, _ = inputs
    ctx.save_for_backward(index)


def _differentiate_accumulate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return _lookup(grad, *ctx.saved_tensors), None, None


register_autograd("table_lookup", _differentiate_lookup, setup_context=_setup_lookup, tangent=linear(_lookup, 1))
register_autograd(
    "table_accumulate", _differentiate_accumulate, setup_context=_setup_accumulate, tangent=linear(_accumulate, 1)
)
