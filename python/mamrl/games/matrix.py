"""Iterated matrix games: payoffs, actions and the encoding of states.

Action 0 is cooperate (rock), 1 defect (paper), 2 scissors. State 0 is the initial one; afterwards a player's state is
1 + the last joint action in mixed radix with the player's own action first, so that in the prisoner's dilemma CC = 1,
CD = 2, DC = 3, DD = 4 for each player from its own side.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor

from mamrl.games.matrix_play import play_matrix_game
from mamrl.games.trajectories import Trajectories

# what the kernels play with (csrc/common/rollout_kernels.h)
MOST_PLAYERS = 8


@dataclass(frozen=True, eq=False)
class MatrixGame:
    """An n-player game in normal form, played again and again by players who see the last joint action.

    Attributes:
        payoffs: (n, A_1, ..., A_n), floating: ``payoffs[p, a_1, ..., a_n]`` is what player p gets a step.
        name: shown in logs and plots.
        action_names: of the first player, for plots.

    Raises:
        TypeError: payoffs are not a real tensor, array or nested sequence.
        ValueError: their shape is not (n, A_1, ..., A_n), or one of them is NaN or infinite.
    """

    payoffs: Tensor
    name: str = "matrix game"
    action_names: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        try:
            payoffs = torch.as_tensor(self.payoffs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"payoffs must be a tensor of shape (n, A_1, ..., A_n): {error}") from None
        if not payoffs.is_floating_point():
            payoffs = payoffs.to(torch.get_default_dtype())
        if payoffs.dim() < 2 or payoffs.shape[0] != payoffs.dim() - 1 or 0 in payoffs.shape:
            raise ValueError(
                f"payoffs have shape {tuple(payoffs.shape)}, expected (n, A_1, ..., A_n): the first size is the "
                "number of players, and one size per player follows"
            )
        if not bool(payoffs.isfinite().all()):
            raise ValueError("payoffs hold NaN or infinite values, expected finite ones")
        object.__setattr__(self, "payoffs", payoffs.detach().clone())
        if not self.action_names:
            names = tuple(f"action {a}" for a in range(self.action_counts[0]))
            object.__setattr__(self, "action_names", names)

    @property
    def num_players(self) -> int:
        """n."""
        return self.payoffs.shape[0]

    @property
    def action_counts(self) -> tuple[int, ...]:
        """A_1, ..., A_n."""
        return tuple(self.payoffs.shape[1:])

    @property
    def num_states(self) -> int:
        """1 for the initial state, and one a joint action."""
        return 1 + math.prod(self.action_counts)

    @property
    def symmetric(self) -> bool:
        """Whether every player's payoffs are the first one's, seen from its own side."""
        return all(
            own.shape == self.payoffs[0].shape and torch.equal(own, self.payoffs[0])
            for own in (self.payoffs[player].movedim(player, 0) for player in range(self.num_players))
        )

    @property
    def device(self) -> torch.device:
        """Where the payoffs are."""
        return self.payoffs.device

    def play(
        self,
        policies: Sequence[Any],
        parameters: Sequence[Tensor],
        keys: Tensor,
        num_trajectories: int,
        horizon: int,
        value_network: Any = None,
        value_parameters: Tensor | None = None,
    ) -> Trajectories:
        """See :meth:`mamrl.games.base.Game.play`; policies are those of :mod:`mamrl.policies`.

        Raises:
            ValueError: a value network has no LSTM policy beside it.
        """
        return play_matrix_game(
            self, policies, parameters, keys, num_trajectories, horizon, value_network, value_parameters
        )

    def to(self, target: torch.dtype | torch.device) -> MatrixGame:
        """The same game with payoffs of another floating dtype, or on another device."""
        moved = copy.copy(self)
        object.__setattr__(moved, "payoffs", self.payoffs.to(target))
        return moved

    def state_names(self) -> list[str]:
        """Of the first player: "start", then the joint actions by the initials of their names."""
        initials = [
            name[0] if len(set(self.action_names)) == len({n[0] for n in self.action_names}) else name
            for name in self.action_names
        ]
        joint = product(*(range(count) for count in self.action_counts))
        same_actions = len(set(self.action_counts)) == 1
        return ["start"] + ["".join(initials[a] if same_actions else str(a) for a in actions) for actions in joint]


def symmetric_game(payoffs: Sequence[Sequence[float]], name: str, action_names: Sequence[str]) -> MatrixGame:
    """A symmetric two-player game from the first player's payoffs.

    Args:
        payoffs: A rows of A numbers; rows are the player's own actions, columns the other's.
        name: shown in logs and plots.
        action_names: of either player, A of them.

    Raises:
        ValueError: the payoffs are not square, or not finite.
    """
    own = torch.tensor(payoffs)
    return MatrixGame(torch.stack([own, own.T]), name, tuple(action_names))


def ipd() -> MatrixGame:
    """The iterated prisoner's dilemma of Kim et al. 2021, figure 4a: CC .5, CD -1.5, DC 1.5, DD -.5."""
    return symmetric_game([[0.5, -1.5], [1.5, -0.5]], "ipd", ("Cooperate", "Defect"))


def stag_hunt() -> MatrixGame:
    """Stag hunt: both stag 4, alone with the stag 1, hare beside a stag hunter 3, both hare 2."""
    return symmetric_game([[4.0, 1.0], [3.0, 2.0]], "stag-hunt", ("Stag", "Hare"))


def chicken() -> MatrixGame:
    """Chicken: both swerve 0, swerve against straight -1, straight against swerve 1, crash -100."""
    return symmetric_game([[0.0, -1.0], [1.0, -100.0]], "chicken", ("Swerve", "Drive"))


def matching_pennies() -> MatrixGame:
    """Matching pennies: the first player wins 1 on a match and loses 1 otherwise; the second the reverse."""
    own = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    return MatrixGame(torch.stack([own, -own]), "matching-pennies", ("Heads", "Tails"))


def rock_paper_scissors(num_players: int = 2, normalize: bool = False) -> MatrixGame:
    """n-player rock-paper-scissors: a player's reward is the sum over its opponents of win +1, lose -1, tie 0.

    Args:
        num_players: at least 2.
        normalize: divide by n - 1, so that rewards stay within [-1, 1].

    Raises:
        TypeError: their number is no integer.
        ValueError: fewer than two players, or more than the kernels play with.
    """
    if isinstance(num_players, bool) or not isinstance(num_players, int):
        raise TypeError(f"num_players is {num_players!r}, expected an integer")
    if not 2 <= num_players <= MOST_PLAYERS:
        raise ValueError(f"num_players is {num_players}, expected 2 to {MOST_PLAYERS}")
    pair = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    payoffs = torch.zeros(num_players, *[3] * num_players)
    for actions in product(range(3), repeat=num_players):
        for player in range(num_players):
            others = [a for other, a in enumerate(actions) if other != player]
            payoffs[(player, *actions)] = sum(pair[actions[player], a] for a in others)
    if normalize:
        payoffs /= num_players - 1
    return MatrixGame(payoffs, f"rps{num_players}", ("Rock", "Paper", "Scissors"))


GAMES = {
    "ipd": ipd,
    "rps": rock_paper_scissors,
    "stag-hunt": stag_hunt,
    "chicken": chicken,
    "matching-pennies": matching_pennies,
}
