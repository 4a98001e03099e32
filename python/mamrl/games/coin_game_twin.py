"""The coin game in plain torch, any number of environments at once: what the compiled step is to equal bit for bit.

Nothing here is fast. What is random is drawn by Philox (Salmon et al. 2011), keyed by an environment's seed and counted
by its clock, so that an environment depends on nothing but these two: a step takes one tick of the clock, the start of
an episode four.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mamrl.games.coin_game import CoinGame, moved
from mamrl.ops.coin_game import CoinGameSteps
from mamrl.ops.reference import philox

START_TICKS = 4
_WORD = 0xFFFFFFFF
_STEP, _START = 0, 1
# keeps these draws apart from those of reference.uniforms
_DRAWS = 0xC0140A3E


class Outcome(NamedTuple):
    """What joint actions lead to before a coin that was taken appears again.

    Attributes:
        players: (..., 2) int64, the cells that the players reach.
        takers: (..., coins, 2) bool, which coin is taken by whom.
        rewards: (..., 2) float32.
    """

    players: Tensor
    takers: Tensor
    rewards: Tensor


def outcome(game: CoinGame, state: Tensor, actions: Tensor) -> Outcome:
    """Moves both players and pays them.

    Args:
        game: the rules.
        state: (..., 4) integers.
        actions: (..., 2) int64.
    """
    state = state.long()
    players = moved(game, state[..., :2], actions)
    coins = state[..., 2 : 2 + game.coins]
    takers = coins.unsqueeze(-1) == players.unsqueeze(-2)
    if game.tie == "first":
        takers = torch.stack([takers[..., 0], takers[..., 1] & ~takers[..., 0]], -1)
    owners = state[..., 3:] if game.coins == 1 else torch.arange(2, device=state.device)
    owned = owners.unsqueeze(-1) == torch.arange(2, device=state.device)
    robbed = owned & takers.flip(-1)
    rewards = (takers.to(torch.float32) - 2 * robbed.to(torch.float32)).sum(-2)
    return Outcome(players, takers, rewards)


def replaced(game: CoinGame, state: Tensor, after: Outcome, cells: Tensor) -> Tensor:
    """The state that follows, coins that were taken being put to ``cells`` (..., coins) int64: (..., 4) int64."""
    state = state.long()
    taken = after.takers.any(-1)
    coins = torch.where(taken, cells, state[..., 2 : 2 + game.coins])
    if game.coins == 2:
        return torch.cat([after.players, coins], -1)
    return torch.cat([after.players, coins, state[..., 3:] ^ taken.long()], -1)


def coin_cells(game: CoinGame, players: Tensor, words: Tensor) -> Tensor:
    """Where a coin appears among players (..., 2), by words (..., coins) int64 in [0, 2^32): (..., coins) int64."""
    if game.new_coin == "anywhere":
        return (words * game.num_cells) >> 32
    low, high = players.amin(-1, keepdim=True), players.amax(-1, keepdim=True)
    apart = (low != high).long()
    cells = (words * (game.num_cells - 1 - apart)) >> 32
    cells = cells + (cells >= low)
    return cells + apart * (cells >= high)


def step_words(game: CoinGame, seeds: Tensor, clocks: Tensor) -> Tensor:
    """The words of one step of each environment: (E,), (E,) int64 -> (E, coins) int64.

    Four words of one counter serve four steps with one coin, and two with two.
    """
    ticks = 4 // game.coins
    words = torch.stack(_words(seeds, clocks // ticks, _STEP), -1).unflatten(-1, (ticks, game.coins))
    return words.gather(-2, (clocks % ticks)[:, None, None].expand(-1, 1, game.coins)).squeeze(-2)


def start_state(game: CoinGame, seeds: Tensor, clocks: Tensor) -> Tensor:
    """The state that an episode begins with: (E,), (E,) int64 -> (E, 4) int64."""
    words = torch.stack(_words(seeds, clocks, _START), -1)
    first = (words[:, 0] * game.num_cells) >> 32
    second = (words[:, 1] * (game.num_cells - game.apart)) >> 32
    second = second + (second >= first) * int(game.apart)
    players = torch.stack([first, second], -1)
    if game.coins == 2:
        return torch.cat([players, coin_cells(game, players, words[:, 2:])], -1)
    return torch.cat([players, coin_cells(game, players, words[:, 2:3]), words[:, 3:] >> 31], -1)


def _words(seeds: Tensor, times: Tensor, purpose: int) -> list[Tensor]:
    counter = [times & _WORD, (times >> 32) & _WORD, torch.full_like(times, purpose)]
    counter.append(torch.full_like(times, _DRAWS))
    return philox(counter, [seeds & _WORD, (seeds >> 32) & _WORD])


def observe(game: CoinGame, state: Tensor, observation: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """What both players see of states (..., 4).

    Args:
        game: the rules.
        state: (..., 4) integers.
        observation: "positions", the state from each player's side: its own cell, the other's, and the coin's with 0
            where it is the player's own, 1 where it is the other's; or its own coin's and the other's. "planes", where
            the player is, the other, its own coin, the other's.
        dtype: of planes.

    Returns:
        (2, ..., 4) uint8 positions, or (2, ..., 4, H, W) planes.
    """
    first = state.long()
    if game.coins == 1:
        other = torch.stack([first[..., 1], first[..., 0], first[..., 2], 1 - first[..., 3]], -1)
    else:
        other = first[..., [1, 0, 3, 2]]
    seen = torch.stack([first, first if game.view == "same" else other])
    if observation == "positions":
        return seen.to(torch.uint8)
    planes = torch.nn.functional.one_hot(seen[..., :2], game.num_cells)
    if game.coins == 2:
        coins = torch.nn.functional.one_hot(seen[..., 2:], game.num_cells)
    else:
        owned = torch.nn.functional.one_hot(seen[..., 3], 2).unsqueeze(-1)
        coins = owned * torch.nn.functional.one_hot(seen[..., 2:3], game.num_cells)
    return torch.cat([planes, coins], -2).unflatten(-1, (game.height, game.width)).to(dtype)


def coin_game_steps(
    game: CoinGame,
    state: Tensor,
    actions: Tensor,
    elapsed: Tensor,
    seeds: Tensor,
    clocks: Tensor,
    episode_length: int,
    autoreset: str,
    observation: str,
    dtype: torch.dtype = torch.float32,
) -> CoinGameSteps:
    """T steps of E environments with given actions; arguments as :func:`mamrl.ops.coin_game_steps` takes them."""
    now, elapsed, clocks = state.long(), elapsed.clone(), clocks.clone()
    states, finals, rewards, truncations = [], [], [], []
    for joint in actions.long().unbind(1):
        waiting = elapsed == episode_length if episode_length else torch.zeros_like(elapsed, dtype=torch.bool)
        after = outcome(game, now, joint.T)
        played = replaced(game, now, after, coin_cells(game, after.players, step_words(game, seeds, clocks)))
        # where an episode was waiting to start, no step is played
        elapsed, clocks = elapsed + 1, clocks + ~waiting
        ended = elapsed == episode_length if episode_length else torch.zeros_like(waiting)
        paid = ~waiting if game.pays_last else ~(waiting | ended)
        final = played
        starting = ended if autoreset == "same-step" else waiting
        now = torch.where(starting[:, None], start_state(game, seeds, clocks), played)
        clocks = clocks + START_TICKS * starting
        elapsed = torch.where(starting, 0, elapsed)
        states.append(now)
        finals.append(final)
        rewards.append(torch.where(paid, after.rewards.T, 0.0))
        truncations.append(ended)
    envs = state.shape[0]
    through = torch.stack(states) if states else now.new_empty(0, envs, 4)
    before = torch.stack(finals) if finals and autoreset == "same-step" else now.new_empty(0, envs, 4)
    shape = (2, len(states), envs)
    return CoinGameSteps(
        observe(game, through, observation, dtype),
        observe(game, before, observation, dtype),
        torch.stack(rewards, 1) if rewards else torch.empty(shape),
        torch.stack(truncations) if truncations else torch.empty(shape[1:], dtype=torch.bool),
        now.to(torch.uint8),
        elapsed,
        clocks,
    )
