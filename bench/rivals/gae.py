"""Generalized advantages without a compiled kernel: three ways that people write them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def published_shape(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """A Python loop over time of whole expressions, stacked at the end: the published code's shape."""
    carried = torch.zeros_like(rewards[0])
    advantages: list[Tensor] = []
    for t in reversed(range(rewards.shape[0])):
        delta = rewards[t] + discount * values[t + 1] - values[t]
        carried = delta + discount * gae_lambda * carried
        advantages.insert(0, carried)
    return torch.stack(advantages)


def expert_loop(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """All deltas at once, then one fused operation in place for each step."""
    advantages = torch.add(rewards, values[1:], alpha=discount).sub_(values[:-1])
    rows = advantages.unbind(0)
    for t in range(len(rows) - 2, -1, -1):
        rows[t].add_(rows[t + 1], alpha=discount * gae_lambda)
    return advantages


def numpy_loop(rewards: np.ndarray, values: np.ndarray, discount: float, gae_lambda: float) -> np.ndarray:
    """The same in NumPy."""
    advantages = rewards + np.float32(discount) * values[1:] - values[:-1]
    weight = np.float32(discount * gae_lambda)
    for t in range(len(advantages) - 2, -1, -1):
        advantages[t] += weight * advantages[t + 1]
    return advantages


def powers_matrix(horizon: int, weight: float) -> Tensor:
    """What :func:`matrix_product` multiplies by: weight^(s-t) for s >= t."""
    steps = torch.arange(horizon)
    distance = steps[None, :] - steps[:, None]
    return torch.where(distance >= 0, torch.tensor(weight) ** distance.clamp(min=0), torch.zeros(()))


def matrix_product(rewards: Tensor, values: Tensor, discount: float, powers: Tensor) -> Tensor:
    """The recursion as a product with a matrix kept from before: T times the work, but no loop; it knows no masks."""
    return powers @ (torch.add(rewards, values[1:], alpha=discount).sub_(values[:-1]))
