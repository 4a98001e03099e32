"""The classic strategies of iterated 2x2 games as tables of action probabilities.

All have memory one: they see the last joint action, own action first, or that there was none. Rows are states in the
library's order [initial, CC, CD, DC, DD], where action 0 is C and action 1 is D whatever the game calls them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mamrl.errors import choose
from mamrl.games.base import Game, payoffs_of

# Press and Dyson 2012: the surplus over mutual defection that the extortioner takes for each unit of its opponent's
EXTORTION_FACTOR = 3.0

# P(C) in [initial, CC, CD, DC, DD]
_FIXED = {
    "tit-for-tat": (1.0, 1.0, 0.0, 1.0, 0.0),
    "always-cooperate": (1.0, 1.0, 1.0, 1.0, 1.0),
    "always-defect": (0.0, 0.0, 0.0, 0.0, 0.0),
    "grim": (1.0, 1.0, 0.0, 0.0, 0.0),
}


def named_strategy(name: str, game: Game, player: int = 0) -> Tensor:
    """A classic strategy's action probabilities.

    * "tit-for-tat": cooperates at first, then does what the opponent did (Axelrod 1984).
    * "always-cooperate", "always-defect".
    * "grim": cooperates at first and as long as both have cooperated; with a memory of one step, only after CC.
    * "win-stay-lose-shift": cooperates at first, repeats its action where it got more than the mean of its four
      payoffs, and takes the other one elsewhere (Nowak and Sigmund 1993).
    * "extortion": the zero-determinant strategy whose surplus over mutual defection is three times its opponent's,
      whatever the opponent does (Press and Dyson 2012, equation 14); prisoner's dilemmas only.
    * "random": every action with the same probability, in any game.

    Args:
        name: one of :data:`STRATEGIES`.
        game: a two-player game with two actions each; any game for "random".
        player: who plays the strategy, 0 for the first.

    Returns:
        (S, A) in the payoffs' dtype: a probability of each action in each state as ``player`` sees it.

    Raises:
        ValueError: an unknown name, a player that the game does not have, or a game that the strategy is not for.
    """
    choose("strategy", name, STRATEGIES)
    if not isinstance(player, int) or not 0 <= player < game.num_players:
        raise ValueError(f"player is {player}, expected 0 to {game.num_players - 1}")
    if name == "random":
        if game.num_states is None or not game.action_counts:
            raise ValueError(f"{game.name} has no table of states and actions, and so no tabular strategies")
        actions = game.action_counts[player]
        dtype = None if game.payoffs is None else game.payoffs.dtype
        return torch.full((game.num_states, actions), 1 / actions, dtype=dtype, device=game.device)
    if game.action_counts != (2, 2):
        raise ValueError(
            f"strategy '{name}' is for two players with two actions each, but {game.name} has action counts "
            f"{game.action_counts}; only 'random' plays any game"
        )
    payoffs = payoffs_of(game)
    own = payoffs[player] if player == 0 else payoffs[player].T
    other = payoffs[1 - player] if player == 0 else payoffs[1 - player].T
    if name in _FIXED:
        cooperation = payoffs.new_tensor(_FIXED[name])
    else:
        cooperation = _BY_PAYOFFS[name](own.flatten(), other.flatten(), game)
    return torch.stack([cooperation, 1 - cooperation], dim=-1)


def _win_stay_lose_shift(own: Tensor, other: Tensor, game: Game) -> Tensor:
    won = own > own.mean()
    cooperated = torch.tensor([True, True, False, False])
    return torch.cat([own.new_ones(1), (won == cooperated).to(own.dtype)])


def _extortion(own: Tensor, other: Tensor, game: Game) -> Tensor:
    """p - (1, 1, 0, 0) = phi ((own - P) - chi (other - P)), with phi half of the largest that gives probabilities."""
    reward, sucker, temptation, punishment = own.tolist()
    symmetric = torch.equal(other, own[torch.tensor([0, 2, 1, 3])])
    if not (temptation > reward > punishment > sucker and symmetric):
        raise ValueError(
            f"strategy 'extortion' is for symmetric prisoner's dilemmas (DC > CC > DD > CD), but in {game.name} CC, "
            f"CD, DC, DD pay {own.tolist()} and the opponent {other.tolist()}"
        )
    advantage = (own - punishment) - EXTORTION_FACTOR * (other - punishment)
    phi = 0.5 / float(advantage.abs().max())
    cooperation = phi * advantage + torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=own.dtype)
    return torch.cat([own.new_ones(1), cooperation])


_BY_PAYOFFS: dict[str, Callable[[Tensor, Tensor, Game], Tensor]] = {
    "win-stay-lose-shift": _win_stay_lose_shift,
    "extortion": _extortion,
}
STRATEGIES = (*_FIXED, *_BY_PAYOFFS, "random")
