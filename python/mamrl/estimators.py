"""From rewards to advantages and DiCE objectives: what the inner step ascends."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from mamrl import ops

InnerObjective = Literal["loaded-dice", "dice"]
INNER_OBJECTIVES: tuple[str, ...] = get_args(InnerObjective)


def linear_baseline(states: Tensor, rewards: Tensor, num_states: int, discount: float) -> Tensor:
    """Discounted returns fitted by the linear feature baseline of Duan et al. 2016; all (T, M, K)."""
    returns = ops.discounted_returns(rewards, discount)
    return ops.linear_baseline(states, returns, num_states=num_states)


def advantages(rewards: Tensor, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """Generalized advantages (T, M, K) of an episode that ends with the horizon: the value after it is zero."""
    return ops.gae(rewards, torch.cat([values, torch.zeros_like(values[:1])]), discount, gae_lambda)


def inner_objective(
    influence: Tensor,
    states: Tensor,
    rewards: Tensor,
    num_states: int,
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
    """
    baseline = linear_baseline(states, rewards, num_states, discount)
    if kind == "dice":
        return ops.dice_objective(influence, rewards, baseline, discount)
    if kind == "loaded-dice":
        weights = advantages(rewards, baseline, discount, gae_lambda)
        return ops.loaded_dice_objective(influence, weights, discount)
    raise ValueError(f"inner objective is '{kind}', expected one of {', '.join(INNER_OBJECTIVES)}")
