"""Per-chain tables read at indices, and the transpose, which sums into them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import call

_lookup = torch.ops.mamrl.table_lookup.default
_accumulate = torch.ops.mamrl.table_accumulate.default


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
    _checks.floating("table", table)
    _checks.indices("index", index)
    _checks.same_device("index", index, "table", table)
    if table.dim() != 2:
        raise ValueError(f"table has shape {tuple(table.shape)}, expected (M, R)")
    if index.dim() != 3 or index.shape[1] != table.shape[0]:
        raise ValueError(f"index has shape {tuple(index.shape)}, expected (T, M, K) with M = {table.shape[0]} as table")
    return call(_lookup, table, index)


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
    _checks.floating("values", values)
    _checks.indices("index", index)
    _checks.same_device("index", index, "values", values)
    if values.dim() != 3:
        raise ValueError(f"values has shape {tuple(values.shape)}, expected (T, M, K)")
    _checks.shape("index", index, values.shape, " as values")
    if num_rows < 0:
        raise ValueError(f"num_rows is {num_rows}, expected at least 0")
    return call(_accumulate, values, index, num_rows)


@torch.library.register_fake("mamrl::table_lookup")
def _(table: Tensor, index: Tensor) -> Tensor:
    return table.new_empty(index.shape)


@torch.library.register_fake("mamrl::table_accumulate")
def _(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
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


torch.library.register_autograd("mamrl::table_lookup", _differentiate_lookup, setup_context=_setup_lookup)
torch.library.register_autograd("mamrl::table_accumulate", _differentiate_accumulate, setup_context=_setup_accumulate)
