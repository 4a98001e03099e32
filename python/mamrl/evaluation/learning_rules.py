"""What learning rules lead to: basins of attraction, exploitability, tit-for-tat, tournaments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.evaluation.statistics import half_width
from mamrl.games.differentiable import DifferentiableGame
from mamrl.ops.tensors import as_tensor
from mamrl.shaping.gradients import Rule
from mamrl.shaping.learning import best_response, learn

# of a grid that fits in memory: a billion policies
_LARGEST_SIDE = 1 << 15


def policy_grid(side: int = 29, reach: float = 10.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A square grid of pairs of scalar policies on ``[-reach, reach]^2``: two tensors ``(side^2, 1)``.

    Args:
        side: Cells along each axis, at least 2.
        reach: Of both axes.
        dtype: Of the policies.
    """
    if not isinstance(side, int) or not 2 <= side <= _LARGEST_SIDE:
        raise ValueError(f"side must be an integer from 2 to {_LARGEST_SIDE}, but {side!r} was given")
    axis = torch.linspace(-reach, reach, side, dtype=dtype)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    return x.reshape(-1, 1), y.reshape(-1, 1)


def basin(
    game: DifferentiableGame,
    rule: Rule,
    cells: Sequence[Tensor],
    *,
    steps: int = 200,
    step_size: float = 1.0,
) -> Tensor:
    """Which starting points end with all coordinates positive (figure 2b of Cooijmans et al. 2023).

    Args:
        game: The game.
        rule: That all players follow.
        cells: For each player ``(B, D)``, where it starts.
        steps: Of learning.
        step_size: Of each.

    Returns:
        ``(B,)`` bool.

    Raises:
        ValueError: as :func:`mamrl.shaping.learning.learn`.
    """
    ends = learn(game, cells, rule, steps=steps, step_size=step_size)
    return torch.stack([(x > 0).all(-1) for x in ends]).all(0)


@dataclass(frozen=True)
class Exploitability:
    """What the others' best responses do to a fixed player.

    Attributes:
        kept: ``(B,)`` what the fixed player gets against the best response.
        gained: ``(B,)`` what the responder gets.
    """

    kept: Tensor
    gained: Tensor


def exploit(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    responder: int = 1,
    *,
    steps: int = 500,
    step_size: float = 2.0,
    start: Tensor | None = None,
) -> Exploitability:
    """Replaces one player of two by a naive learner against the other, who stands still.

    Cooperative returns of self-play do not show that the cooperation cannot be exploited; this does, as far
    as gradient ascent finds the best response.

    Args:
        game: Of two players.
        params: For each player ``(B, D)``.
        responder: Who is replaced.
        steps: Of gradient ascent.
        step_size: Of each.
        start: Where the responder starts; at zero where None.

    Raises:
        ValueError: as :func:`mamrl.shaping.learning.best_response`, or there are not two players.
    """
    if game.num_players != 2:
        raise ValueError(f"exploitability is of two players, but {type(game).__name__} has {game.num_players}")
    ends = best_response(game, params, responder, steps=steps, step_size=step_size, start=start)
    values = game.values(ends)
    return Exploitability(values[1 - responder], values[responder])


def plays_tit_for_tat(logits: Tensor, margin: float = 0.25) -> Tensor:
    """Which memory-one policies cooperate first and then copy the other: (C, D, C, D, C).

    Args:
        logits: ``(*batch, 5)`` of cooperation: initial, DD, DC, CD, CC, own action first.
        margin: How far each probability must be beyond one half, in [0, 1/2).

    Returns:
        ``(*batch,)`` bool.

    Raises:
        TypeError: logits are neither a tensor nor a NumPy array, or not floating.
        ValueError: the last axis is not 5, or the margin is out of range.
    """
    logits = as_tensor("logits", logits)
    if not logits.is_floating_point():
        raise TypeError(f"logits is {logits.dtype}, expected a floating dtype")
    if logits.dim() == 0 or logits.shape[-1] != 5:
        raise ValueError(f"logits must have the shape (*batch, 5), but {tuple(logits.shape)} was given")
    if not 0 <= margin < 0.5:
        raise ValueError(f"margin must be in [0, 1/2), but {margin} was given")
    signs = torch.tensor([1, -1, 1, -1, 1], dtype=logits.dtype, device=logits.device)
    return ((torch.sigmoid(logits) - 0.5) * signs > margin).all(-1)


@dataclass(frozen=True)
class Entrant:
    """A learner in a tournament.

    Attributes:
        rule: What it follows; the tournament takes its own player's update.
        step_size: Of its updates.
        initial: ``(2, D)`` the policy it starts from as player 1 and 2, or None for a random one.
    """

    rule: Rule
    step_size: float
    initial: Tensor | None = None


@dataclass(frozen=True)
class Tournament:
    """Mean values of every pairing.

    Attributes:
        names: Of the entrants.
        mean: ``(E, E, 2)``: ``[i, j, p]`` is player p's mean value where i is player 1 and j player 2.
        interval: ``(E, E, 2)`` half-width of the 95% interval of the mean, over pairs of initial policies.
        tit_for_tat: ``(E, E, 2)`` share of final policies that play tit-for-tat, NaN where that has no
            meaning.
    """

    names: tuple[str, ...]
    mean: Tensor
    interval: Tensor
    tit_for_tat: Tensor


def tournament(
    game: DifferentiableGame,
    entrants: Mapping[str, Entrant],
    *,
    pairs: int = 256,
    steps: int = 300,
    seed: int = 0,
) -> Tournament:
    """Every entrant learns beside every other, from N(0, 1) policies where it has no initial policy of its
    own.

    Args:
        game: Of two players with policies of one size.
        entrants: By name.
        pairs: Pairs of initial policies, the same for every pairing; at least 2.
        steps: Of joint learning.
        seed: Of the initial policies.

    Raises:
        ValueError: the game does not fit, an entrant's learning diverges (named), or there are too few pairs.
    """
    if game.num_players != 2 or game.sizes[0] != game.sizes[1]:
        raise ValueError(f"a tournament needs two players with policies of one size, but has {game.sizes}")
    if pairs < 2:
        raise ValueError(f"pairs must be at least 2 for an interval, but {pairs} was given")
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(2, pairs, game.sizes[0], generator=generator)
    names, field, count = tuple(entrants), list(entrants.values()), len(entrants)
    # all pairings are one batch: pairing (i, j) holds the rows of i as player 1 and j as player 2
    opening = [
        torch.stack([start[p] if e.initial is None else e.initial[p].expand(pairs, -1) for e in field])
        for p in range(2)
    ]
    params = [
        opening[0].repeat_interleave(count, 0).flatten(0, 1),
        opening[1].repeat(count, 1, 1).flatten(0, 1),
    ]
    first = torch.arange(count).repeat_interleave(count * pairs)
    second = torch.arange(count).repeat_interleave(pairs).repeat(count)
    ends = learn(game, params, _field_rule(names, field, first, second), steps=steps, step_size=1.0)
    values = game.values(ends).unflatten(1, (count, count, pairs)).movedim(0, -2)
    reciprocal = torch.full((count, count, 2), math.nan)
    if game.sizes == (5, 5):
        played = torch.stack([plays_tit_for_tat(x).float() for x in ends])
        reciprocal = played.unflatten(1, (count, count, pairs)).movedim(0, -2).mean(-1)
    return Tournament(names, values.mean(-1), half_width(values), reciprocal)


def _field_rule(names: Sequence[str], field: Sequence[Entrant], first: Tensor, second: Tensor) -> Rule:
    """Each entrant computes its updates once a step, for all rows in which it plays."""
    rows = [((first == e) | (second == e)).nonzero().squeeze(-1) for e in range(len(field))]

    def rule(game: DifferentiableGame, params: Sequence[Tensor], step_size: float) -> tuple[Tensor, ...]:
        updates = [torch.zeros_like(x) for x in params]
        for e, (entrant, mine) in enumerate(zip(field, rows, strict=True)):
            found = entrant.rule(game, [x[mine] for x in params], step_size * entrant.step_size)
            for player, seats in enumerate((first, second)):
                seated = seats[mine] == e
                if not bool(torch.isfinite(found[player][seated]).all()):
                    raise ValueError(f"learning diverged: {names[e]} as player {player + 1} left the finite numbers")
                updates[player][mine[seated]] = found[player][seated]
        return tuple(updates)

    return rule
