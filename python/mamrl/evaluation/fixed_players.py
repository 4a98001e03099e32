"""How a trained agent does beside itself and beside players that learn nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.games.stepped import SteppedGame
from mamrl.shaping.actor_critic import Network, draw_actions, play_games


def scores(
    game: SteppedGame, network: Network, row: Tensor, num_games: int, horizon: int, generator: torch.Generator
) -> dict[str, float]:
    """Mean rewards a step, and what the game tells of how it was played.

    Args:
        game: what is played.
        network: the agent's actor.
        row: its parameters (1, P).
        num_games: E.
        horizon: T.
        generator: of everything that is drawn.

    Returns:
        "self", both seats' mean in games with itself, and what :meth:`SteppedGame.shares` tells of these; and for each
        fixed player its name, the agent's reward beside it, and "<name>_other", the player's.
    """
    games = play_games(game, network, [row, row], num_games, horizon, generator)
    told = {"self": games.rewards.mean().item(), **game.shares(games.rewards)}
    for player in game.fixed_players:
        own, other = play_fixed(game, network, row, player, num_games, horizon, generator).mean((1, 2)).tolist()
        told |= {player: own, f"{player}_other": other}
    return told


@torch.no_grad()
def play_fixed(
    game: SteppedGame,
    network: Network,
    row: Tensor,
    player: str,
    num_games: int,
    horizon: int,
    generator: torch.Generator,
) -> Tensor:
    """Rewards (2, T, E) of games of the agent, in the first seat, with a fixed player."""
    weights = network.weights(row.detach())
    memory: Any = None
    seeds = torch.randint(2**62, (num_games,), generator=generator)
    state, view = game.start(seeds)
    paid = []
    for _ in range(horizon):
        logits, memory = network.step(weights, view[:1], memory)
        chances = game.fixed_weights(player, state, 1).to(logits.dtype).expand(num_games, -1)
        actions = draw_actions(torch.stack([logits[0], chances.log()]), generator)
        state, view, rewards = game.step(state, actions)
        paid.append(rewards)
    return torch.stack(paid, 1)
