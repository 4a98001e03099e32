"""Discounted returns, by their recursion, and the powers of the discount."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.ops.reference.masks import mask_or_zeros


def discounted_returns(
    rewards: Tensor,
    next_values: Tensor | None,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
) -> Tensor:
    """R_t = r_t + discount * R_{t+1}; at a truncation and at the end ``next_values`` (or zero) stands for R_{t+1}."""
    bootstrap = torch.zeros_like(rewards) if next_values is None else next_values
    ended, cut = mask_or_zeros(terminations, rewards), mask_or_zeros(truncations, rewards)
    returns: list[Tensor] = []
    for t in reversed(range(rewards.shape[0])):
        following = returns[-1] if returns else bootstrap[t]
        following = cut[t] * bootstrap[t] + (1 - cut[t]) * following
        returns.append(rewards[t] + discount * (1 - ended[t]) * following)
    return torch.stack(returns[::-1]) if returns else rewards.clone()


def discount_powers(like: Tensor, discount: float) -> Tensor:
    """discount^t as (T, 1, 1), in the dtype and on the device of ``like``."""
    exponents = torch.arange(like.shape[0], dtype=torch.float64, device=like.device)
    return (discount**exponents).to(like.dtype).view(-1, *[1] * (like.dim() - 1))
