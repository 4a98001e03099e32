"""Generalized advantage estimation, by its recursion."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.ops.reference.masks import mask_or_zeros


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor | None,
    terminations: Tensor | None,
    truncations: Tensor | None,
    discount: float,
    gae_lambda: float,
) -> Tensor:
    """A_t = delta_t + discount * lambda * A_{t+1} (Schulman et al. 2016, equation 16).

    All arguments (T, ...), but values (T + 1, ...) where next_values is None: they are values[1:] then.
    """
    if next_values is None:
        values, next_values = values[:-1], values[1:]
    ended = mask_or_zeros(terminations, rewards)
    cut = torch.maximum(ended, mask_or_zeros(truncations, rewards))
    deltas = rewards + discount * (1 - ended) * next_values - values
    advantages, carried = [], torch.zeros_like(rewards[:1].sum(0))
    for t in reversed(range(rewards.shape[0])):
        carried = deltas[t] + discount * gae_lambda * (1 - cut[t]) * carried
        advantages.append(carried)
    return torch.stack(advantages[::-1]) if advantages else rewards.clone()
