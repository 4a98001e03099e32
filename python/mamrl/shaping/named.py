"""The learning rules by name, with the options each of them has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from torch import Tensor

from mamrl.errors import choose
from mamrl.games import differentiable as games
from mamrl.shaping.adjusted import consensus, symplectic
from mamrl.shaping.gradients import Rule
from mamrl.shaping.hola import hola
from mamrl.shaping.lola import lola, lola_taylor
from mamrl.shaping.lookahead import lookahead
from mamrl.shaping.naive import naive
from mamrl.shaping.sos import sos

#: rules that need no trained network
RULES: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "naive": naive,
    "lookahead": lookahead,
    "lola": lola,
    "lola-taylor": lola_taylor,
    "hola": hola,
    "sos": sos,
    "consensus": consensus,
    "symplectic": symplectic,
}

#: games of two players by name
GAMES: dict[str, Callable[[], games.DifferentiableGame]] = {
    "ipd": games.iterated_prisoners_dilemma,
    "matching-pennies": games.iterated_matching_pennies,
    "chicken": games.chicken,
    "stag-hunt": games.stag_hunt,
    "logistic": games.LogisticGame,
    "tandem": games.TandemGame,
    "zero-sum": games.StatelessZeroSum,
}


def named_rule(name: str, **options: float) -> Rule:
    """The rule of this name, with those of the options that it has.

    Raises:
        ValueError: there is no such rule; names the nearest.
    """
    function = RULES[choose("rule", name, RULES)]
    known = inspect.signature(function).parameters
    return partial(function, **{key: value for key, value in options.items() if key in known})


def named_game(name: str) -> games.DifferentiableGame:
    """The game of this name.

    Raises:
        ValueError: there is no such game; names the nearest.
    """
    return GAMES[choose("game", name, GAMES)]()
