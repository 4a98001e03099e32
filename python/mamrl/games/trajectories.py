"""What is sampled: trajectories, the random keys that decide them, and the one way to ask a game for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mamrl.games.base import Game

PURPOSES = {"train": 0, "validation": 1, "test": 2, "other": 3}


@dataclass(frozen=True, eq=False)
class Trajectories:
    """K trajectories of T steps in each of M chains, as each of n players saw them.

    Attributes:
        states: (n, T, M, K) int64, each player's own view.
        actions: (n, T, M, K) int64.
        rewards: (n, T, M, K).
        recorded: for each player the LSTM's (outputs, saved), which spare its differentiable pass the forward; empty
            for other policies.
        values: (T, M, K) of the first player's value network, where it has one.
        values_recorded: the value network's (outputs, saved).
        diverged: how many simulations broke down, in games that simulate.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    recorded: Sequence[Sequence[Tensor]] = field(default=())
    values: Tensor | None = None
    values_recorded: Sequence[Tensor] = ()
    diverged: int = 0

    def recorded_of(self, player: int) -> Sequence[Tensor]:
        """What spares a player's differentiable pass the forward: (outputs, saved), or nothing."""
        return self.recorded[player] if self.recorded else ()


def random_keys(
    seed: int,
    purpose: str,
    iteration: int,
    position: int,
    chains: int,
    first_chain: int = 0,
    device: torch.device | None = None,
) -> Tensor:
    """The rollout's keys (chains, 2) int64: a seed, and a stream that no other place of a run uses.

    The stream is purpose (3 bits), iteration (32), position in the chain (8) and chain (20), side by side; so that
    streams of different places never meet, and different seeds are different Philox keys.

    Args:
        seed: of the run.
        purpose: a name of ``PURPOSES``.
        iteration: below 2^32.
        position: in the chain of joint policies, below 2^8.
        chains: M.
        first_chain: of a share of a batch; the last chain is below 2^20.
        device: where the keys are made; None is torch's default.

    Raises:
        ValueError: a field that does not fit its bits.
    """
    last_chain = first_chain + chains
    if purpose not in PURPOSES:
        raise ValueError(f"purpose is '{purpose}', expected one of {', '.join(PURPOSES)}")
    if not (0 <= iteration < 2**32 and 0 <= position < 2**8 and first_chain >= 0 and last_chain <= 2**20):
        raise ValueError(
            f"iteration {iteration}, position {position} or chain {last_chain - 1} is out of range, expected "
            "iteration < 2^32, position < 2^8, chain < 2^20, none negative"
        )
    base = ((PURPOSES[purpose] << 32 | iteration) << 8 | position) << 20
    streams = base + torch.arange(first_chain, last_chain, dtype=torch.int64, device=device)
    return torch.stack([torch.full_like(streams, seed), streams], dim=-1)


def play(
    game: Game,
    policies: Sequence[Any],
    parameters: Sequence[Tensor],
    keys: Tensor,
    num_trajectories: int,
    horizon: int,
    value_network: Any = None,
    value_parameters: Tensor | None = None,
) -> Trajectories:
    """Samples trajectories with fixed parameters; nothing here is differentiable.

    Args:
        game: what is played.
        policies: one a player.
        parameters: each policy's rows (M, P).
        keys: (M, 2) int64, see :func:`random_keys`.
        num_trajectories: K.
        horizon: T.
        value_network: of the first player, if its policy is an LSTM; evaluated in the same pass.
        value_parameters: the value network's rows (M, P).

    Returns:
        What every player saw, did and earned, in the dtype of the first player's parameters.

    Raises:
        TypeError: parameters are no tensors.
        ValueError: players, policies and parameters do not fit, or a value network has no LSTM policy beside it.
    """
    if not len(policies) == len(parameters) == game.num_players:
        raise ValueError(
            f"the game has {game.num_players} players, got {len(policies)} policies and {len(parameters)} parameters"
        )
    for player, parameter in enumerate(parameters):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"parameters[{player}] is {type(parameter).__name__}, expected a torch.Tensor")
    rows = [parameter.detach() for parameter in parameters]
    return game.play(policies, rows, keys, num_trajectories, horizon, value_network, value_parameters)
