"""Masks as what rewards are multiplied by."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_or_zeros(mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if mask is None else mask.to(like.dtype)
