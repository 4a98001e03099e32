"""The games: matrix games for rollouts, differentiable games with exact values, and the two-agent HalfCheetah.

May import from ``ops``. :mod:`mamrl.games.base` is what the rest of the library asks of a game,
:mod:`mamrl.games.trajectories` what it gets.
"""

from mamrl.games.matrix import (
    GAMES,
    MatrixGame,
    chicken,
    ipd,
    matching_pennies,
    rock_paper_scissors,
    stag_hunt,
    symmetric_game,
)

__all__ = [
    "GAMES",
    "MatrixGame",
    "chicken",
    "ipd",
    "matching_pennies",
    "rock_paper_scissors",
    "stag_hunt",
    "symmetric_game",
]
