"""Exact values of the coin game by dynamic programming over all of its states: an oracle for small grids.

Values are rewards a step, averaged over the T steps of an episode and over its starts, of both players. In the game of
3 x 3 with one coin there are 1,458 states, with two 6,561.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mamrl.games.coin_game import PLAYERS, CoinGame, move_weights
from mamrl.games.coin_game_twin import outcome

# states times joint actions that are kept at once
_MOST_ENTRIES = 50_000_000

# steps of an episode, some seconds of computing
LONGEST = 100_000


class BestResponse(NamedTuple):
    """The best that a player can do against one that does not learn.

    Attributes:
        values: (2,) float64, what both players get a step.
        actions: (T, S) int64, what the best response does at each time in each state.
    """

    values: Tensor
    actions: Tensor


# steps of an episode, some seconds of computing
LONGEST = 100_000


def all_states(game: CoinGame) -> Tensor:
    """Every state, whether or not it can be reached: (S, 4) int64, the last number the fastest.

    Raises:
        ValueError: the game has too many states for them to be gone through.
    """
    count = 1
    for size in game.sizes:
        count *= size
    if count * game.num_actions**2 > _MOST_ENTRIES:
        raise ValueError(
            f"a grid of {game.height} x {game.width} with {game.coins} coin(s) has {count} states, too many for exact "
            f"values; expected at most {_MOST_ENTRIES // game.num_actions**2}"
        )
    return torch.cartesian_prod(*(torch.arange(size) for size in game.sizes))


def policy_table(game: CoinGame, player: str | Tensor, seat: int) -> Tensor:
    """A memoryless policy over :func:`all_states`.

    Args:
        game: the rules.
        player: a name of ``mamrl.games.coin_game.PLAYERS``, or probabilities (S, A).
        seat: 0 or 1.

    Returns:
        (S, A) float64.

    Raises:
        TypeError: neither a name nor a tensor.
        ValueError: an unknown name, or probabilities of another shape or that do not sum to 1.
    """
    states = all_states(game)
    if isinstance(player, str):
        return move_weights(game, player, states, seat)
    if not isinstance(player, Tensor):
        raise TypeError(f"player {seat} is {type(player).__name__}, expected a name of {PLAYERS} or probabilities")
    expected = (len(states), game.num_actions)
    if tuple(player.shape) != expected:
        raise ValueError(
            f"player {seat}'s policy has shape {tuple(player.shape)}, expected {expected}, or a name of {PLAYERS}"
        )
    table = player.to(torch.float64)
    if bool((table < 0).any()) or not torch.allclose(table.sum(-1), torch.ones(len(table), dtype=table.dtype)):
        raise ValueError(f"player {seat}'s policy holds rows that are no probabilities, expected sums of 1")
    return table


def coin_game_values(game: CoinGame, first: str | Tensor, second: str | Tensor, horizon: int = 50) -> Tensor:
    """What two memoryless players get a step: (2,) float64.

    Args:
        game: the rules.
        first: the first player, see :func:`policy_table`.
        second: the second.
        horizon: T, the steps of an episode.

    Raises:
        ValueError: as :func:`policy_table` and :func:`all_states`; or no horizon.
    """
    tables = policy_table(game, first, 0), policy_table(game, second, 1)
    joint = (tables[0].unsqueeze(2) * tables[1].unsqueeze(1)).flatten(1)
    return _solve(game, horizon, lambda ahead: (joint * ahead).sum(-1))


def best_joint_values(game: CoinGame, horizon: int = 50) -> Tensor:
    """What two players get a step who together maximise the sum of their rewards: (2,) float64, the optimum.

    Args:
        game: the rules.
        horizon: T.
    """

    def choose_together(ahead: Tensor) -> Tensor:
        best = ahead.sum(0).argmax(-1)
        return ahead.gather(-1, best.expand(2, -1).unsqueeze(-1)).squeeze(-1)

    return _solve(game, horizon, choose_together)


def best_response(game: CoinGame, player: str | Tensor, seat: int = 1, horizon: int = 50) -> BestResponse:
    """The best response to a memoryless player, which may use all of the state and the time.

    Args:
        game: the rules.
        player: the one that is responded to, see :func:`policy_table`.
        seat: its seat, 0 or 1; the response plays the other.
        horizon: T.

    Raises:
        ValueError: as :func:`coin_game_values`.
    """
    table = policy_table(game, player, seat)
    responder, count = 1 - seat, game.num_actions
    chosen = []

    def respond(ahead: Tensor) -> Tensor:
        apart = ahead.unflatten(-1, (count, count))
        own = torch.einsum("nsab,sa->nsb" if seat == 0 else "nsab,sb->nsa", apart, table)
        best = own[responder].argmax(-1)
        chosen.append(best)
        return own.gather(-1, best.expand(2, -1).unsqueeze(-1)).squeeze(-1)

    values = _solve(game, horizon, respond)
    return BestResponse(values, torch.stack(chosen[::-1]))


def _solve(game: CoinGame, horizon: int, decide: Callable[[Tensor], Tensor]) -> Tensor:
    """Backwards through time; ``decide`` makes of what joint actions lead to (2, S, A * A) what is got (2, S)."""
    if not 1 <= horizon <= LONGEST:
        raise ValueError(f"horizon is {horizon}, expected 1 to {LONGEST}")
    states = all_states(game)
    joint = torch.cartesian_prod(torch.arange(game.num_actions), torch.arange(game.num_actions))
    after = outcome(game, states.unsqueeze(1), joint.unsqueeze(0))
    rewards = after.rewards.to(torch.float64).movedim(-1, 0)
    taken = after.takers.any(-1)
    # (S, A * A) each: where a state's four numbers stand once the players have moved
    place: list[Tensor] = [*after.players.unbind(-1), states[:, 2, None], states[:, 3, None]]
    if game.coins == 1:
        place[3] = place[3] ^ taken[..., 0].long()
    values = torch.zeros(2, len(states), dtype=torch.float64)
    for left in range(horizon):
        ahead = torch.zeros_like(rewards)
        for which, expected in _redrawn(game, values.unflatten(-1, game.sizes)):
            here = (taken == torch.tensor(which)).all(-1)
            ahead = torch.where(here, expected[:, place[0], place[1], place[2], place[3]], ahead)
        paid = game.pays_last or left > 0
        values = decide(rewards + ahead if paid else ahead)
    return torch.einsum("ns,s->n", values, start_weights(game)) / horizon


def _redrawn(game: CoinGame, values: Tensor) -> Iterator[tuple[list[bool], Tensor]]:
    """By which coins were taken, the values (2, C, C, C, ...) once these have appeared again somewhere."""
    weights = coin_weights(game)
    first = torch.einsum("npqcx,pqc->npqx", values, weights).unsqueeze(3).expand_as(values)
    yield [False] * game.coins, values
    yield [True] + [False] * (game.coins - 1), first
    if game.coins == 2:
        yield [False, True], torch.einsum("npqcx,pqx->npqc", values, weights).unsqueeze(4).expand_as(values)
        yield [True, True], torch.einsum("npqcx,pqx->npqc", first, weights).unsqueeze(4).expand_as(values)


def coin_weights(game: CoinGame) -> Tensor:
    """The probabilities of a new coin's cell, given the players': (C, C, C) float64."""
    cells = game.num_cells
    weights = torch.ones(cells, cells, cells, dtype=torch.float64)
    if game.new_coin == "free":
        here = torch.eye(cells, dtype=torch.bool)
        weights[here.unsqueeze(1) | here.unsqueeze(0)] = 0
    return weights / weights.sum(-1, keepdim=True)


def start_weights(game: CoinGame) -> Tensor:
    """The probabilities of an episode's start over :func:`all_states`: (S,) float64."""
    cells, coins = game.num_cells, coin_weights(game)
    players = torch.ones(cells, cells, dtype=torch.float64)
    if game.apart:
        players.fill_diagonal_(0)
    players = players / players.sum()
    last = coins.unsqueeze(2) if game.coins == 2 else torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64)
    return (players[..., None, None] * coins.unsqueeze(-1) * last).flatten()
