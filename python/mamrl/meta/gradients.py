"""What happens to the meta-gradients of a batch's chains before the optimiser sees them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def project_conflicting(gradients: Tensor, generator: torch.Generator) -> Tensor:
    """PCGrad (Yu et al. 2020, algorithm 1): each chain's gradient loses what opposes the others'.

    Every gradient g_i is projected, in random order over j, onto the normal plane of each original g_j with which it
    conflicts. All of it happens in the span of the gradients, so that only their Gram matrix is needed.

    Args:
        gradients: (M, P), one row a chain.
        generator: draws the order.

    Returns:
        (P,), the mean of the projected gradients.
    """
    count = gradients.shape[0]
    gram = (gradients @ gradients.T).tolist()
    combination = []
    for i in range(count):
        weights = [1.0 if j == i else 0.0 for j in range(count)]
        for j in torch.randperm(count, generator=generator).tolist():
            dot = sum(w * row[j] for w, row in zip(weights, gram, strict=True))
            if j != i and dot < 0 and gram[j][j] > 0:
                weights[j] -= dot / gram[j][j]
        combination.append(weights)
    return (gradients.new_tensor(combination) @ gradients).mean(0)


def drop_overflowing(gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Rows whose norm is not finite become zeros: a chain whose inner steps ran away costs its share, not the batch.

    Nothing here waits for the gradients' device.

    Args:
        gradients: (M, P), one row a chain.

    Returns:
        (M, P), and how many rows were dropped, () int64.
    """
    finite = torch.linalg.vector_norm(gradients, dim=1, keepdim=True).isfinite()
    whole = torch.where(finite, gradients, torch.zeros_like(gradients))
    return whole, len(gradients) - finite.sum()


def clip_rows_by_norm(gradients: Tensor, limit: float) -> Tensor:
    """Each row scaled so that its norm is at most a limit.

    Args:
        gradients: (M, P), one row a chain.
        limit: the largest norm; 0 is no limit.
    """
    if not limit:
        return gradients
    norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    return gradients * (limit / norms.clamp(min=limit))


def scale_to_norm(gradients: list[Tensor], limit: float) -> Tensor:
    """Scales the gradients in place so that their joint norm is at most a limit; returns the norm that they had.

    Nothing here waits for the gradients' device. A norm that is not finite leaves gradients that are not.

    Args:
        gradients: any shapes, scaled in place.
        limit: the largest norm; 0 is no limit.
    """
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    if limit:
        factor = (limit / norm.double()).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)
    return norm


def clip_by_norm(gradients: list[Tensor], limit: float) -> float:
    """:func:`scale_to_norm` with the norm as a number.

    Args:
        gradients: any shapes, scaled in place.
        limit: the largest norm; 0 is no limit.

    Raises:
        FloatingPointError: the norm is NaN or infinite.
    """
    norm = float(scale_to_norm(gradients, limit))
    check_finite(norm)
    return norm


def check_finite(norm: float) -> None:
    """Raises FloatingPointError where a gradient's norm is NaN or infinite."""
    if not math.isfinite(norm):
        raise FloatingPointError("the meta-gradient is NaN or infinite")
