"""Exact values of tabular policies in iterated matrix games, by dynamic programming instead of sampling.

State 0 is the initial one; the others are 1 + the last joint action in mixed radix, every player from its
own side: its own action first, then the others' in the order of their indices. For the iterated prisoner's
dilemma (action 0 cooperates): CC = 1, CD = 2, DC = 3, DD = 4.

Everything is differentiable any number of times and batched over ``M`` joint policies (chains).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mamrl.ops.tensors import as_tensor


@functools.lru_cache(maxsize=64)
def player_views(num_actions: tuple[int, ...]) -> Tensor:
    """How each player numbers the states.

    Args:
        num_actions: ``A_1, ..., A_n``.

    Returns:
        ``(n, S)`` int64 with ``S = 1 + prod(A)``: entry ``[i, s]`` is player i's number for the state that
        player 0 calls s.
    """
    joint = torch.arange(math.prod(num_actions)).reshape(num_actions)
    views = []
    for player in range(len(num_actions)):
        order = [player, *(other for other in range(len(num_actions)) if other != player)]
        # own_side[a] is the number of joint action a with this player's action as the leading digit
        own_side = torch.empty_like(joint)
        own_side.permute(order).copy_(torch.arange(joint.numel()).reshape([num_actions[k] for k in order]))
        views.append(torch.cat([torch.zeros(1, dtype=torch.int64), 1 + own_side.reshape(-1)]))
    return torch.stack(views)


def check_discount(discount: float) -> None:
    """Raises ValueError unless ``0 <= discount < 1`` (NaN included)."""
    if not 0.0 <= discount < 1.0:
        raise ValueError(f"discount must be in [0, 1), but {discount} was given")


def check_payoffs(payoffs: Tensor) -> tuple[int, ...]:
    """Checks ``(n, A_1, ..., A_n)`` finite payoffs and returns the numbers of actions.

    Raises:
        ValueError: the shape does not name n players' actions, or a payoff is NaN or infinite.
    """
    if payoffs.dim() < 2 or payoffs.shape[0] != payoffs.dim() - 1 or payoffs.numel() == 0:
        raise ValueError(
            "payoffs must have the shape (n, A_1, ..., A_n) with one axis of actions for each of the n "
            f"players, but {tuple(payoffs.shape)} was given"
        )
    if not payoffs.is_floating_point():
        raise ValueError(f"payoffs must be floating point, but {payoffs.dtype} was given")
    # a GPU would have to be waited for, at every call
    if payoffs.device.type == "cpu" and not bool(torch.isfinite(payoffs).all()):
        raise ValueError("payoffs must be finite, but some are NaN or infinite")
    return tuple(payoffs.shape[1:])


def _tensors(payoffs: Tensor, logits: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    if not isinstance(logits, Sequence):
        raise TypeError(f"logits is {type(logits).__name__}, expected a sequence of one tensor a player")
    return as_tensor("payoffs", payoffs), [as_tensor(f"logits[{player}]", x) for player, x in enumerate(logits)]


def _joint_probabilities(payoffs: Tensor, logits: Sequence[Tensor]) -> Tensor:
    """Probability ``(M, S, prod(A))`` of every joint action in every state, as player 0 numbers them."""
    payoffs, logits = _tensors(payoffs, logits)
    num_actions = check_payoffs(payoffs)
    if len(logits) != len(num_actions):
        raise ValueError(
            f"one tensor of logits for each of {len(num_actions)} players is needed, but {len(logits)} came"
        )
    num_states = 1 + math.prod(num_actions)
    batch = logits[0].shape[0] if logits[0].dim() else 0
    views = player_views(num_actions).to(payoffs.device)
    joint: Tensor | None = None
    for player, (table, count) in enumerate(zip(logits, num_actions, strict=True)):
        if tuple(table.shape) != (batch, num_states, count):
            raise ValueError(
                f"logits[{player}] must have the shape (M, S, A) = ({batch}, {num_states}, {count}), "
                f"but {tuple(table.shape)} was given"
            )
        if table.dtype != payoffs.dtype:
            raise ValueError(f"logits[{player}] must have the payoffs' dtype {payoffs.dtype}, but has {table.dtype}")
        own = torch.softmax(table, -1)[:, views[player]]
        joint = own if joint is None else (joint.unsqueeze(-1) * own.unsqueeze(-2)).flatten(-2)
    assert joint is not None
    return joint


def exact_values(payoffs: Tensor, logits: Sequence[Tensor], discount: float) -> Tensor:
    """Expected discounted return of every player over an infinite horizon, from the initial state.

    With ``p_0`` the joint action's distribution in the initial state and ``P`` the transition matrix between
    joint actions, ``V_i = sum_t discount^t E[r_i(a_t)] = p_0 (I - discount P)^-1 r_i`` (Foerster et al.
    2018, LOLA, appendix).

    Args:
        payoffs: ``(n, A_1, ..., A_n)``, float32 or float64: ``payoffs[i][a]`` is player i's reward of joint
            action a.
        logits: For each player ``(M, S, A_i)`` unnormalised log-probabilities, states numbered from the
            player's own side (see the module's docstring).
        discount: In [0, 1), a step.

    Returns:
        ``(n, M)``, differentiable to any order.

    Raises:
        TypeError: something is neither a tensor nor a NumPy array.
        ValueError: shapes or dtypes disagree, payoffs are not finite, or the discount is outside [0, 1).
    """
    payoffs, logits = _tensors(payoffs, logits)
    check_payoffs(payoffs)
    # one right-hand side serves all players' rewards
    return payoffs.flatten(1) @ discounted_occupancy(payoffs, logits, discount).transpose(0, 1)


def discounted_occupancy(payoffs: Tensor, logits: Sequence[Tensor], discount: float) -> Tensor:
    """How much discounted time is spent in every joint action: ``(I - discount P^T)^-1 p_0``.

    Values are linear in it, so that one occupancy serves any payoffs of the same shape.

    Args:
        payoffs: As in :func:`exact_values`; of it only the shape and the dtype matter.
        logits: As in :func:`exact_values`.
        discount: As in :func:`exact_values`.

    Returns:
        ``(M, prod(A))``, differentiable to any order; every row sums to 1 / (1 - discount).

    Raises:
        ValueError: as in :func:`exact_values`.
    """
    check_discount(discount)
    joint = _joint_probabilities(payoffs, logits)
    start, transition = joint[:, 0], joint[:, 1:]
    identity = torch.eye(transition.shape[-1], dtype=joint.dtype, device=joint.device)
    return torch.linalg.solve(identity - discount * transition.transpose(-1, -2), start)


def expected_rewards(payoffs: Tensor, logits: Sequence[Tensor], horizon: int) -> Tensor:
    """Expected reward of every player at every step of an episode of ``horizon`` steps.

    Args:
        payoffs: As in :func:`exact_values`.
        logits: As in :func:`exact_values`.
        horizon: Number of steps, at least 1.

    Returns:
        ``(horizon, n, M)``, differentiable to any order.

    Raises:
        ValueError: as in :func:`exact_values`, or the horizon is below 1.
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, but {horizon} was given")
    payoffs, logits = _tensors(payoffs, logits)
    joint = _joint_probabilities(payoffs, logits)
    start, transition = joint[:, 0], joint[:, 1:]
    steps = [start]
    for _ in range(horizon - 1):
        steps.append((steps[-1].unsqueeze(-2) @ transition).squeeze(-2))
    return (torch.stack(steps) @ payoffs.flatten(1).transpose(0, 1)).transpose(1, 2)
