"""Rollouts of a matrix game: by the kernel, or step by step in Python for policies that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mamrl import ops
from mamrl.games.stepping import step
from mamrl.games.trajectories import Trajectories
from mamrl.ops import reference

if TYPE_CHECKING:
    from mamrl.games.matrix import MatrixGame

# the kind of a policy that has no kernel, beside the kernel's own: reference.TABULAR, reference.LSTM
MODULE = -1


def play_matrix_game(
    game: MatrixGame,
    policies: Sequence[Any],
    rows: Sequence[Tensor],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
    value_network: Any,
    value_parameters: Tensor | None,
) -> Trajectories:
    """See :meth:`mamrl.games.base.Game.play`."""
    if any(policy.kind == MODULE for policy in policies):
        return _play_step_by_step(game, policies, rows, keys, num_trajectories, horizon)
    kinds, networks = [], []
    for player, (policy, row) in enumerate(zip(policies, rows, strict=True)):
        kind, tensors = policy.kind, policy.networks(row)
        if player == 0 and value_network is not None and value_parameters is not None:
            if kind != reference.LSTM:
                raise ValueError("a value network needs an LSTM policy beside it")
            kind = reference.LSTM_WITH_VALUE
            tensors = tensors + value_network.kernel_tensors(value_parameters.detach())
        kinds.append(kind)
        networks += tensors
    payoffs = game.payoffs.to(rows[0].dtype)
    states, actions, rewards, *extra = ops.matrix_game_rollout(
        payoffs, networks, kinds, keys, num_trajectories, horizon
    )
    recorded: list[Sequence[Tensor]] = []
    values: Tensor | None = None
    values_recorded: Sequence[Tensor] = ()
    for kind in kinds:
        taken = 0 if kind == reference.TABULAR else 2
        recorded.append(tuple(extra[:taken]))
        extra = extra[taken:]
        if kind == reference.LSTM_WITH_VALUE:
            values_recorded, extra = tuple(extra[:2]), extra[2:]
            values = values_recorded[0].squeeze(-1)
    return Trajectories(states, actions, rewards, tuple(recorded), values, values_recorded)


@torch.no_grad()
def _play_step_by_step(
    game: MatrixGame,
    policies: Sequence[Any],
    rows: Sequence[Tensor],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
) -> Trajectories:
    """The rollout in Python, for policies that have no kernel: same keys, same encoding of states."""
    players = range(game.num_players)
    payoffs = game.payoffs.to(rows[0].dtype)
    states = torch.zeros(game.num_players, horizon, len(keys), num_trajectories, dtype=torch.int64, device=keys.device)
    actions = torch.zeros_like(states)
    memories: list[Any] = [None for _ in players]
    for t in range(horizon):
        for player in players:
            logits, memories[player] = step(policies[player], rows[player], states[player, t], memories[player])
            uniform = reference.uniforms(keys, t, num_trajectories, player)
            actions[player, t] = reference.sample(logits, uniform)
        if t + 1 < horizon:
            for player in players:
                states[player, t + 1] = reference.joint_state(actions[:, t], player, game.action_counts)
    return Trajectories(states, actions, payoffs[:, *actions])
