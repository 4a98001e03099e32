"""Rows of a table by index, and its adjoint."""

from __future__ import annotations

from torch import Tensor


def table_lookup(table: Tensor, index: Tensor) -> Tensor:
    """table (M, R), index (T, M, K) int64 -> (T, M, K): out[t, m, k] = table[m, index[t, m, k]]."""
    horizon, chains, trajectories = index.shape
    flat = index.permute(1, 0, 2).reshape(chains, -1)
    return table.gather(1, flat).view(chains, horizon, trajectories).permute(1, 0, 2).contiguous()


def table_accumulate(values: Tensor, index: Tensor, num_rows: int) -> Tensor:
    """The transpose of :func:`table_lookup`: sums values (T, M, K) into (M, num_rows)."""
    chains = index.shape[1]
    flat = index.permute(1, 0, 2).reshape(chains, -1)
    return values.new_zeros(chains, num_rows).scatter_add(1, flat, values.permute(1, 0, 2).reshape(chains, -1))
