"""What the rest of the library asks of a game, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mamrl.games.trajectories import Trajectories


class Game(Protocol):
    """A game that the chain of joint policies can be played in.

    A class that names this one as its base takes over what has a body here; nothing but ``num_players`` and
    :meth:`play` has to be written then (docs/extending/game.md).
    """

    @property
    def num_players(self) -> int:
        """n."""
        ...

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
        """Samples K trajectories of T steps in each of M chains; nothing here is differentiable.

        Args:
            policies: one a player, of a kind that the game can play.
            parameters: each policy's rows (M, P), without a graph.
            keys: (M, 2) int64, all that the draws depend on; see :func:`mamrl.games.trajectories.random_keys`.
            num_trajectories: K.
            horizon: T.
            value_network: of the first player, to be evaluated in the same pass; None where there is none.
            value_parameters: the value network's rows (M, P).
        """
        ...

    @property
    def name(self) -> str:
        """Shown in logs, plots and errors."""
        return type(self).__name__

    @property
    def action_counts(self) -> tuple[int, ...]:
        """A_1, ..., A_n; empty where actions are no indices."""
        return ()

    @property
    def num_states(self) -> int | None:
        """S, where states are those of a table and a baseline fits one number each; None where it fits observations."""
        return None

    @property
    def payoffs(self) -> Tensor | None:
        """(n, A_1, ..., A_n), where a game is its payoffs: it then has exact values and classic strategies."""
        return None

    @property
    def symmetric(self) -> bool:
        """Whether an agent can take any player's side, as cross-play asks."""
        return False

    @property
    def action_names(self) -> Sequence[str]:
        """Of the first player's actions; empty where actions are no indices."""
        return ()

    def state_names(self) -> list[str]:
        """Of the first player's states; empty where there is no table of them."""
        return []

    @property
    def device(self) -> torch.device:
        """Where it is played, and so where its policies' parameters are."""
        return torch.device("cpu")

    def to(self, device: torch.device) -> Game:
        """The same game on another device.

        Raises:
            ValueError: the game cannot leave the one that it is on.
        """
        if device == self.device:
            return self
        raise ValueError(f"device is '{device}', expected '{self.device}': {type(self).__name__} is played there")


def payoffs_of(game: Game) -> Tensor:
    """The payoffs (n, A_1, ..., A_n) of a game that is its payoffs.

    Raises:
        ValueError: it is something else.
    """
    if game.payoffs is None:
        raise ValueError(f"{game.name} has no table of payoffs, and so no exact values")
    return game.payoffs
