"""DiCE (Foerster et al. 2018c) and loaded DiCE (Farquhar et al. 2019), with magic boxes and by weights."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.ops.reference.returns import discount_powers


def magic_box(x: Tensor) -> Tensor:
    """box(x) = exp(x - stop(x)): one at its value, with the derivative of x (Foerster et al. 2018c)."""
    return torch.exp(x - x.detach())


def dice_objective(log_probs: Tensor, rewards: Tensor, baseline: Tensor, discount: float) -> Tensor:
    """mean_k sum_t box(sum_{s<=t} D_s) g^t r_t + mean_k sum_t (1 - box(D_t)) g^t b_t; (T, M, K) each -> (M,)."""
    powers = discount_powers(log_probs, discount)
    reinforced = magic_box(log_probs.cumsum(0)) * powers * rewards
    baselined = (1 - magic_box(log_probs)) * powers * baseline
    return (reinforced + baselined).sum(0).mean(-1)


def loaded_dice_objective(log_probs: Tensor, advantages: Tensor, discount: float) -> Tensor:
    """mean_k sum_t (box(sum_{s<=t} D_s) - box(sum_{s<t} D_s)) g^t A_t (Farquhar et al. 2019); (T, M, K) -> (M,)."""
    influence = log_probs.cumsum(0)
    boxes = magic_box(influence) - magic_box(influence - log_probs)
    return (boxes * discount_powers(log_probs, discount) * advantages).sum(0).mean(-1)


def dice_pair_weights(rewards: Tensor, discount: float) -> Tensor:
    """rho_t = sum_{s>=t} g^s r_s, the second output of the op dice_objective; that of the loaded one is g^t A_t."""
    return (discount_powers(rewards, discount) * rewards).flip(0).cumsum(0).flip(0)


def dice_gradient(
    log_probs: Tensor, grad: Tensor, pair_weights: Tensor, baseline: Tensor | None, discount: float
) -> Tensor:
    """d objective / d D_t = (rho_t - g^t b_t) / K, times ``grad`` (M,). ``log_probs`` only carries the derivative."""
    return _dice_weights(pair_weights, baseline, discount) * grad[None, :, None] / log_probs.shape[-1]


def dice_hessian_product(
    log_probs: Tensor, vector: Tensor, grad: Tensor, pair_weights: Tensor, baseline: Tensor | None, discount: float
) -> tuple[Tensor, Tensor]:
    """The derivative of <vector, dice_gradient> in D and in ``grad``: (T, M, K) and (M,).

    d^2 objective / d D_t d D_s = (rho_{max(t,s)} - [t=s] g^t b_t) / K.
    """
    weights = _dice_weights(pair_weights, baseline, discount)
    later = pair_weights * vector
    product = pair_weights * vector.cumsum(0) + later.flip(0).cumsum(0).flip(0) - later
    product = product - (pair_weights - weights) * vector
    num_trajectories = log_probs.shape[-1]
    return product * grad[None, :, None] / num_trajectories, (vector * weights).sum((0, 2)) / num_trajectories


def _dice_weights(pair_weights: Tensor, baseline: Tensor | None, discount: float) -> Tensor:
    return pair_weights if baseline is None else pair_weights - discount_powers(baseline, discount) * baseline
