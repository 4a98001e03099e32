"""Rollouts of matrix games: networks, draws and game in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind
from mamrl.ops.reference import LSTM, LSTM_WITH_VALUE, NUM_TENSORS, TABULAR

_rollout = bind("matrix_game_rollout")

_MOST_PLAYERS = 8


def matrix_game_rollout(
    payoffs: Tensor,
    networks: Sequence[Tensor],
    kinds: Sequence[int],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
    record: bool = True,
) -> list[Tensor]:
    """M chains x K trajectories x T steps of an n-player matrix game; nothing in it is differentiable.

    Player p sees state 0 at first, then 1 + the joint action in mixed radix, its own action first, then the others' in
    their order. Actions are drawn by Philox (Salmon et al. 2011) from (seed, stream, time, trajectory, player), see
    :func:`mamrl.ops.reference.random.uniforms`: the same keys give the same trajectories at any number of threads.

    Args:
        payoffs: (n, A_1, ..., A_n) float32 or float64, n from 1 to 8; S = 1 + A_1 * ... * A_n.
        networks: each player's tensors in turn. ``TABULAR`` has logits (M, S, A_p); ``LSTM`` a gate table (M, S, 4N), a
            recurrent weight (M, 4N, N), a head weight (M, A_p, N) and a head bias (M, A_p), as :func:`mamrl.ops.lstm`;
            ``LSTM_WITH_VALUE`` those and the same four of a value network with one output.
        kinds: each player's kind, of :mod:`mamrl.ops.reference`: 0, 1 or 2.
        keys: (M, 2) int64, a seed and a stream for each chain.
        num_trajectories: K, from 0 to 2^24 - 1.
        horizon: T, from 0 to 2^32 - 1.
        record: whether to keep what the backward of :func:`mamrl.ops.lstm.lstm_recorded` needs, 20 N bytes a step and
            float32 network.

    Returns:
        [states (n, T, M, K) int64, actions (n, T, M, K) int64, rewards (n, T, M, K)], then for each LSTM in turn its
        outputs (T, M, K, A) and what :func:`mamrl.ops.lstm.lstm_recorded` calls saved, empty without ``record``.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape, a device, a kind, a size or the number of tensors is not as above.
    """
    _checks.floating("payoffs", payoffs)
    players = payoffs.shape[0] if payoffs.dim() else 0
    if not 1 <= players <= _MOST_PLAYERS or payoffs.dim() != players + 1 or payoffs.numel() == 0:
        raise ValueError(
            f"payoffs has shape {tuple(payoffs.shape)}, expected (n, A_1, ..., A_n) with n from 1 to {_MOST_PLAYERS}"
        )
    if len(kinds) != players:
        raise ValueError(f"kinds has {len(kinds)} entries, expected {players}, one a player")
    for kind in kinds:
        if kind not in NUM_TENSORS:
            raise ValueError(f"kinds holds {kind}, expected 0 (tabular), 1 (LSTM) or 2 (LSTM with a value network)")
    expected = sum(NUM_TENSORS[kind] for kind in kinds)
    if len(networks) != expected:
        raise ValueError(f"networks has {len(networks)} tensors, expected {expected} for kinds {list(kinds)}")
    _checks.indices("keys", keys)
    _checks.same_device("keys", keys, "payoffs", payoffs)
    if keys.dim() != 2 or keys.shape[1] != 2:
        raise ValueError(f"keys has shape {tuple(keys.shape)}, expected (M, 2), a seed and a stream for each chain")
    if not 0 <= num_trajectories < 2**24:
        raise ValueError(f"num_trajectories is {num_trajectories}, expected 0 to 2^24 - 1")
    if not 0 <= horizon < 2**32:
        raise ValueError(f"horizon is {horizon}, expected 0 to 2^32 - 1")
    first = 0
    for player, kind in enumerate(kinds):
        _check_networks(payoffs, player, kind, networks[first : first + NUM_TENSORS[kind]], keys.shape[0])
        first += NUM_TENSORS[kind]
    return _rollout(payoffs, list(networks), list(kinds), keys, num_trajectories, horizon, record)


def _check_networks(payoffs: Tensor, player: int, kind: int, tensors: Sequence[Tensor], chains: int) -> None:
    states, actions = 1 + math.prod(payoffs.shape[1:]), payoffs.shape[1 + player]
    for tensor in tensors:
        _checks.like(f"player {player}'s network", tensor, "payoffs", payoffs)
    if kind == TABULAR:
        _checks.shape(f"player {player}'s logits", tensors[0], (chains, states, actions), ", that is (M, S, A)")
        return
    for name, outputs, (table, recurrent, head, bias) in (
        ("policy", actions, tensors[:4]),
        ("value network", 1, tensors[4:] or tensors[:4]),
    )[: 2 if kind == LSTM_WITH_VALUE else 1]:
        whose = f"player {player}'s {name}'s"
        if recurrent.dim() != 3 or recurrent.shape[2] == 0:
            raise ValueError(f"{whose} recurrent_weight has shape {tuple(recurrent.shape)}, expected (M, 4N, N)")
        units = recurrent.shape[2]
        _checks.shape(f"{whose} gate_inputs", table, (chains, states, 4 * units), ", that is (M, S, 4N)")
        _checks.shape(f"{whose} recurrent_weight", recurrent, (chains, 4 * units, units), ", that is (M, 4N, N)")
        _checks.shape(f"{whose} head_weight", head, (chains, outputs, units), ", that is (M, A, N)")
        _checks.shape(f"{whose} head_bias", bias, (chains, outputs), ", that is (M, A)")


@torch.library.register_fake("mamrl::matrix_game_rollout")
def _(
    payoffs: Tensor,
    networks: Sequence[Tensor],
    kinds: Sequence[int],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
    record: bool = True,
) -> list[Tensor]:
    steps = (horizon, keys.shape[0], num_trajectories)
    size = (payoffs.shape[0], *steps)
    result = [keys.new_empty(size), keys.new_empty(size), payoffs.new_empty(size)]
    first = 0
    for kind in kinds:
        for network in range({TABULAR: 0, LSTM: 1, LSTM_WITH_VALUE: 2}[kind]):
            _, recurrent, head, _ = networks[first + 4 * network : first + 4 * network + 4]
            padded = (recurrent.shape[2] + 15) // 16 * 16
            result.append(payoffs.new_empty(*steps, head.shape[1]))
            result.append(payoffs.new_empty((*steps, 5, padded) if record else (0,)))
        first += NUM_TENSORS[kind]
    return result
