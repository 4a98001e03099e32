"""Training in games with oneself as one frozen dataclass: everything that decides a run but its seed."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mamrl.errors import choose
from mamrl.games.coin_game import VARIANTS, coin_game
from mamrl.games.matrix import GAMES, MatrixGame
from mamrl.games.stepped import SteppedCoinGame, SteppedGame, SteppedMatrixGame
from mamrl.policies.gru import GRUNetwork
from mamrl.policies.linear import LinearNetwork
from mamrl.shaping.actor_critic import Network
from mamrl.shaping.self_play import SelfPlay, SelfPlayLearner
from mamrl.shaping.shapers import SHAPERS, shaper

COIN_GAME = "coin-game"
NETWORKS = ("gru", "table")


@dataclass(frozen=True)
class SelfPlayExperiment(SelfPlay):
    """An agent that is trained in games with its past selves (:class:`mamrl.shaping.self_play.SelfPlay`).

    Attributes:
        shaper: a name of ``mamrl.shaping.shapers.SHAPERS``.
        weight: of what goes through the other player in the shaper's loss.
        game: "coin-game", or the name of a symmetric game of two in ``mamrl.games.GAMES``.
        variant: of the coin game, a name of ``mamrl.games.coin_game.VARIANTS``.
        grid: its side.
        network: "gru", or "table": of what is seen, without a memory.
        hidden_size: units of the actor.
        critic_size: units of the critic.
        updates: in all.
        validation_every: updates between two measurements beside itself and fixed players.
    """

    shaper: str = "loqa"
    weight: float = 1.0
    game: str = COIN_GAME
    variant: str = "loqa"
    grid: int = 3
    network: str = "gru"
    hidden_size: int = 64
    critic_size: int = 64
    updates: int = 6_000
    validation_every: int = 100

    def __post_init__(self) -> None:
        for name, kind in self.field_types().items():
            value = getattr(self, name)
            if kind is float and type(value) is int:
                object.__setattr__(self, name, float(value))
            elif type(value) is not kind:
                raise TypeError(f"{name} is {value!r}, expected a value of type {kind.__name__}")
        super().__post_init__()
        choose("shaper", self.shaper, SHAPERS)
        choose("game", self.game, (COIN_GAME, *GAMES))
        choose("variant", self.variant, VARIANTS)
        choose("network", self.network, NETWORKS)
        for name in ("hidden_size", "critic_size", "updates", "validation_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        self.stepped_game()

    def stepped_game(self) -> SteppedGame:
        """What is played."""
        if self.game == COIN_GAME:
            return SteppedCoinGame(coin_game(self.variant, grid=self.grid))
        named: MatrixGame = GAMES[self.game]()
        return SteppedMatrixGame(named)

    def actor(self, game: SteppedGame) -> Network:
        """The network of an agent's actions."""
        return self._network(game.observation_size, game.num_actions, self.hidden_size)

    def critic(self, game: SteppedGame) -> Network:
        """The network of their values, which sees the time besides."""
        return self._network(game.observation_size + 1, game.num_actions, self.critic_size)

    def learner(self, seed: int) -> SelfPlayLearner:
        """An agent at its start."""
        game = self.stepped_game()
        return SelfPlayLearner(
            game, shaper(self.shaper, weight=self.weight), self, self.actor(game), self.critic(game), seed
        )

    def _network(self, num_inputs: int, num_outputs: int, units: int) -> Network:
        if self.network == "table":
            return LinearNetwork(num_inputs, num_outputs)
        return GRUNetwork(num_inputs, num_outputs, units)

    def replace(self, **changes: Any) -> SelfPlayExperiment:
        """A copy with other fields.

        Raises:
            ValueError: an unknown field (with the nearest name), or a value that does not fit.
        """
        for name in changes:
            choose("field", name, self.field_types())
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The fields, as experiment.json holds them."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> SelfPlayExperiment:
        """The inverse of :meth:`to_dict`, checked like :meth:`replace`."""
        return SelfPlayExperiment().replace(**fields)

    @classmethod
    def field_types(cls) -> dict[str, type]:
        """The fields and their types."""
        return typing.get_type_hints(cls)
