"""Rollouts of matrix games."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mamrl.ops.reference.lstm import lstm
from mamrl.ops.reference.random import sample, uniforms

TABULAR, LSTM, LSTM_WITH_VALUE = 0, 1, 2
NUM_TENSORS = {TABULAR: 1, LSTM: 4, LSTM_WITH_VALUE: 8}


def matrix_game_rollout(
    payoffs: Tensor,
    networks: Sequence[Tensor],
    kinds: Sequence[int],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
) -> list[Tensor]:
    """M chains x K trajectories x T steps of an n-player matrix game.

    payoffs: (n, A_1, ..., A_n). networks: each player's tensors in turn; ``TABULAR`` has logits (M, S, A_p), ``LSTM``
    the tensors of :func:`lstm` with states (gate table, recurrent weight, head weight, head bias), ``LSTM_WITH_VALUE``
    those and four more of a value network with one output. keys: (M, 2) int64, see :func:`uniforms`.

    Player p sees state 0 at first, then 1 + the joint action in mixed radix, its own action first, then the others' in
    their order.

    Returns:
        [states (n, T, M, K) int64, actions (n, T, M, K) int64, rewards (n, T, M, K)], then for each LSTM in turn its
        outputs (T, M, K, A) and what its backward needs (here an empty tensor).
    """
    num_players, action_counts = payoffs.shape[0], payoffs.shape[1:]
    chains = keys.shape[0]
    policies = _split_networks(networks, kinds)
    state = torch.zeros(num_players, chains, num_trajectories, dtype=torch.int64)
    seen: list[list[Tensor]] = [[] for _ in range(num_players)]
    states, actions, rewards = [], [], []
    for t in range(horizon):
        chosen = []
        for player in range(num_players):
            seen[player].append(state[player])
            network = policies[player]
            if kinds[player] == TABULAR:
                index = state[player].unsqueeze(-1).expand(-1, -1, action_counts[player])
                logits = network[0].gather(1, index)
            else:
                table, recurrent, head, bias = network[:4]
                logits = lstm(table, torch.stack(seen[player]), recurrent, head, bias)[-1]
            chosen.append(sample(logits, uniforms(keys, t, num_trajectories, player)))
        joint = torch.stack(chosen)
        states.append(state)
        actions.append(joint)
        outcome: tuple[slice | Tensor, ...] = (slice(None), *chosen)
        rewards.append(payoffs[outcome])
        state = torch.stack([joint_state(joint, p, action_counts) for p in range(num_players)])
    result = [torch.stack(x, dim=1) for x in (states, actions, rewards)]
    for player, kind in enumerate(kinds):
        for first in range(0, NUM_TENSORS[kind] if kind != TABULAR else 0, 4):
            table, recurrent, head, bias = policies[player][first : first + 4]
            result += [lstm(table, result[0][player], recurrent, head, bias), payoffs.new_zeros(0)]
    return result


def _split_networks(networks: Sequence[Tensor], kinds: Sequence[int]) -> list[list[Tensor]]:
    policies, first = [], 0
    for kind in kinds:
        policies.append(list(networks[first : first + NUM_TENSORS[kind]]))
        first += NUM_TENSORS[kind]
    return policies


def joint_state(actions: Tensor, player: int, action_counts: Sequence[int]) -> Tensor:
    """1 + the joint action (n, ...) in mixed radix as ``player`` sees it: its own action first, then the others'."""
    state = actions[player].clone()
    for other in range(len(action_counts)):
        if other != player:
            state = state * action_counts[other] + actions[other]
    return state + 1
