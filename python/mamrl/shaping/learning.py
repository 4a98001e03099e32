"""Joint learning: every player follows a rule of its own, step after step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import Rule
from mamrl.shaping.naive import naive

# that anybody could wait for
_MOST_STEPS = 10**9


def mixed(rules: Sequence[Rule]) -> Rule:
    """The rule by which player i follows ``rules[i]``.

    Raises:
        ValueError: when applied to a game with another number of players.
    """

    def rule(game: DifferentiableGame, params: Sequence[Tensor], step_size: float) -> tuple[Tensor, ...]:
        if len(rules) != game.num_players:
            raise ValueError(f"a rule for each of {game.num_players} players is needed, but {len(rules)} were given")
        updates: dict[int, tuple[Tensor, ...]] = {}
        for each in rules:
            # players of one rule share its work
            if id(each) not in updates:
                updates[id(each)] = each(game, params, step_size)
        return tuple(updates[id(each)][player] for player, each in enumerate(rules))

    return rule


def learn(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    rule: Rule,
    *,
    steps: int,
    step_size: float,
    watch: Callable[[int, Sequence[Tensor]], None] | None = None,
) -> tuple[Tensor, ...]:
    """Follows a rule.

    Args:
        game: The game.
        params: For each player ``(*batch, D_i)``, where it starts.
        rule: See :data:`mamrl.shaping.gradients.Rule`; :func:`mixed` for different ones.
        steps: How many.
        step_size: Of each.
        watch: Called before the first step and after each with (steps done, parameters).

    Returns:
        Where each player ends.

    Raises:
        ValueError: the rule or the parameters do not fit the game; or learning left the finite numbers, at a
            step that the message names.
    """
    if not 0 <= steps <= _MOST_STEPS:
        raise ValueError(f"steps must be from 0 to {_MOST_STEPS}, but {steps} was given")
    game.check_params(params)
    x = tuple(param.detach().clone() for param in params)
    if watch is not None:
        watch(0, x)
    for step in range(1, steps + 1):
        x = tuple(p + u for p, u in zip(x, rule(game, x, step_size), strict=True))
        if not all(bool(torch.isfinite(p).all()) for p in x):
            raise ValueError(f"learning diverged: parameters are NaN or infinite after step {step} of {steps}")
        if watch is not None:
            watch(step, x)
    return x


def best_response(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    player: int,
    *,
    steps: int,
    step_size: float,
    start: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Replaces one player by a naive learner against the others, who stand still.

    Args:
        game: The game.
        params: For each player ``(*batch, D_i)``.
        player: Who learns.
        steps: Of gradient ascent.
        step_size: Of each.
        start: Where the learner starts ``(*batch, D)``; at zero where None.

    Returns:
        All players' parameters, the learner's replaced.

    Raises:
        ValueError: as :func:`learn`, or there is no such player.
    """
    if not 0 <= player < game.num_players:
        raise ValueError(f"player must be in 0..{game.num_players - 1}, but {player} was given")

    def one_learns(game: DifferentiableGame, params: Sequence[Tensor], step_size: float) -> tuple[Tensor, ...]:
        updates = naive(game, params, step_size)
        return tuple(u if i == player else torch.zeros_like(u) for i, u in enumerate(updates))

    begin = list(params)
    begin[player] = torch.zeros_like(params[player]) if start is None else start
    return learn(game, begin, one_learns, steps=steps, step_size=step_size)
