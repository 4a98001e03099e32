"""The quantile-Huber loss."""

from __future__ import annotations

import torch
from torch import Tensor


def quantile_huber(predicted: Tensor, target: Tensor) -> Tensor:
    """sum_i mean_j |tau_i - 1[u_ij < 0]| huber(u_ij), u_ij = target_j - predicted_i (Dabney et al. 2018); (..., Q)."""
    count = predicted.shape[-1]
    levels = (torch.arange(count, dtype=predicted.dtype, device=predicted.device) + 0.5) / count
    error = target.unsqueeze(-2) - predicted.unsqueeze(-1)
    size = error.abs()
    # huber(u) = m (|u| - m / 2) with m = min(|u|, 1)
    core = size.clamp(max=1.0)
    weight = (levels.unsqueeze(-1) - (error < 0).to(error.dtype)).abs()
    return (weight * core * (size - 0.5 * core)).mean(-1).sum(-1)
