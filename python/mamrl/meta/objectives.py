"""From rewards to advantages and DiCE objectives: what the inner step ascends."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from mamrl import ops

InnerObjective = Literal["loaded-dice", "dice"]
INNER_OBJECTIVES: tuple[str, ...] = get_args(InnerObjective)


def linear_baseline(states: Tensor, rewards: Tensor, num_states: int | None, discount: float) -> Tensor:
    """Discounted returns fitted by the linear feature baseline of Duan et al. 2016.

    Args:
        states: (T, M, K) int64, or dense observations (T, M, K, O) in the dtype of rewards.
        rewards: (T, M, K) float32 or float64.
        num_states: S; None for dense observations.
        discount: gamma, in [0, 1].

    Returns:
        The fit's predictions (T, M, K), not differentiable.

    Raises:
        TypeError: as :func:`mamrl.ops.baseline.linear_baseline`.
        ValueError: likewise.
    """
    returns = ops.discounted_returns(rewards, discount)
    return ops.linear_baseline(states, returns, num_states=num_states)


def advantages(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """Generalized advantages of an episode that ends with the horizon: the value after it is zero.

    Args:
        rewards: (T, M, K) float32 or float64.
        values: (T, M, K) of the states in which the rewards were earned.
        discount: gamma, in [0, 1].
        gae_lambda: lambda, in [0, 1].

    Returns:
        (T, M, K), differentiable in rewards and values.

    Raises:
        TypeError: as :func:`mamrl.ops.gae.gae`.
        ValueError: likewise.
    """
    return ops.gae(rewards, torch.cat([values, torch.zeros_like(values[:1])]), discount, gae_lambda)


def inner_objective(
    influence: Tensor,
    states: Tensor,
    rewards: Tensor,
    num_states: int | None,
    discount: float,
    gae_lambda: float,
    kind: str = "loaded-dice",
) -> Tensor:
    """One agent's DiCE objective S^a (M,), whose gradient in its own parameters is its policy gradient.

    Args:
        influence: D_t (T, M, K), the summed log-probabilities of the agents whose influence is differentiated.
        states: (T, M, K) int64, the agent's own view, for its baseline.
        rewards: (T, M, K), the agent's own.
        num_states: S.
        discount: gamma.
        gae_lambda: lambda of the advantages of loaded DiCE.
        kind: "loaded-dice" (Farquhar et al. 2019) or "dice" (Foerster et al. 2018c), the published implementation's.

    Returns:
        (M,), twice differentiable in ``influence``.

    Raises:
        ValueError: an unknown ``kind``, or what the ops refuse.
    """
    baseline = linear_baseline(states, rewards, num_states, discount)
    if kind == "dice":
        return ops.dice_objective(influence, rewards, baseline, discount)
    if kind == "loaded-dice":
        weights = advantages(rewards, baseline, discount, gae_lambda)
        return ops.loaded_dice_objective(influence, weights, discount)
    raise ValueError(f"inner objective is '{kind}', expected one of {', '.join(INNER_OBJECTIVES)}")
