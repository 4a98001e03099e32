"""Games that are played a step at a time by players with a memory of their own, as shapers that learn from samples do.

Shapes: n players, E games at once, D numbers that a player sees, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from mamrl import ops
from mamrl.games import coin_game_twin
from mamrl.games.coin_game import CoinGame, move_weights
from mamrl.games.matrix import MatrixGame


class SteppedGame(Protocol):
    """What self-play asks of a game; a state is the game's own affair, a tensor or whatever holds one."""

    @property
    def name(self) -> str:
        """Shown in logs, plots and errors."""
        ...

    @property
    def num_players(self) -> int:
        """n."""
        ...

    @property
    def num_actions(self) -> int:
        """A, the same for every player."""
        ...

    @property
    def observation_size(self) -> int:
        """D."""
        ...

    @property
    def fixed_players(self) -> tuple[str, ...]:
        """Names of players that learn nothing, to be measured by."""
        ...

    def start(self, seeds: Tensor) -> tuple[Any, Tensor]:
        """Begins a game a seed, (E,) int64: its state, and what each player sees, (n, E, D)."""
        ...

    def step(self, state: Any, actions: Tensor) -> tuple[Any, Tensor, Tensor]:
        """Plays actions (n, E) int64: the state after them, what each player sees (n, E, D), rewards (n, E)."""
        ...

    def fixed_weights(self, player: str, state: Any, seat: int) -> Tensor:
        """The probabilities (E, A) with which a fixed player moves."""
        ...

    def shares(self, rewards: Tensor) -> dict[str, float]:
        """What rewards (n, T, E) say of how it was played, by name, beside their mean."""
        ...


@dataclass
class _CoinStates:
    """E coin games under way: cells and owners (E, 4), and what their draws depend on."""

    cells: Tensor
    seeds: Tensor
    clocks: Tensor
    elapsed: Tensor


@dataclass(frozen=True)
class SteppedCoinGame:
    """A coin game, seen as planes.

    Attributes:
        rules: the variant.
    """

    rules: CoinGame
    _rules: list[int] = field(init=False, repr=False)

    num_players = 2
    fixed_players = ("cooperate", "defect", "random")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", self.rules.rules())

    @property
    def name(self) -> str:
        """The variant's."""
        return self.rules.name

    @property
    def num_actions(self) -> int:
        """A."""
        return self.rules.num_actions

    @property
    def observation_size(self) -> int:
        """Four planes."""
        return 4 * self.rules.num_cells

    def start(self, seeds: Tensor) -> tuple[_CoinStates, Tensor]:
        """See :meth:`SteppedGame.start`."""
        clocks = torch.zeros_like(seeds)
        cells = coin_game_twin.start_state(self.rules, seeds, clocks).to(torch.uint8)
        seen = coin_game_twin.observe(self.rules, cells, "planes").flatten(2)
        clocks = clocks + coin_game_twin.START_TICKS
        return _CoinStates(cells, seeds, clocks, torch.zeros_like(seeds, dtype=torch.int32)), seen

    def step(self, state: _CoinStates, actions: Tensor) -> tuple[_CoinStates, Tensor, Tensor]:
        """See :meth:`SteppedGame.step`."""
        joint = actions.unsqueeze(1)
        out = ops.coin_game_steps(self._rules, state.cells, joint, state.elapsed, state.seeds, state.clocks)
        after = _CoinStates(out.state, state.seeds, out.clocks, out.elapsed)
        return after, out.observations[:, 0].flatten(2), out.rewards[:, 0]

    def fixed_weights(self, player: str, state: _CoinStates, seat: int) -> Tensor:
        """See :func:`mamrl.games.coin_game.move_weights`."""
        return move_weights(self.rules, player, state.cells, seat)

    def shares(self, rewards: Tensor) -> dict[str, float]:
        """The share of coins that their owners took, of all that were taken; with one coin alone it can be told."""
        if self.rules.coins != 1 or self.rules.tie != "both":
            return {}
        # with one coin: whoever robs the other is paid 1 while that one loses 2, or has -1 left where it came as well
        robbed = (rewards < 0).sum().item()
        owned = ((rewards == 1) & (rewards.flip(0) == 0)).sum().item() + (rewards == -1).sum().item()
        return {"own_color": owned / max(owned + robbed, 1)}


@dataclass(frozen=True)
class SteppedMatrixGame:
    """A symmetric iterated matrix game: a player sees the last joint action from its side, one of S, or the start.

    Attributes:
        game: its payoffs.
    """

    game: MatrixGame
    _eye: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.game.symmetric or self.game.num_players != 2:
            raise ValueError(f"'{self.game.name}' is not a symmetric game of two, expected one: an agent plays itself")
        object.__setattr__(self, "_eye", torch.eye(self.game.num_states))

    num_players = 2

    @property
    def name(self) -> str:
        """The game's."""
        return self.game.name

    @property
    def num_actions(self) -> int:
        """A."""
        return self.game.action_counts[0]

    @property
    def observation_size(self) -> int:
        """S, one of which is 1."""
        return self.game.num_states

    @property
    def fixed_players(self) -> tuple[str, ...]:
        """Each action always, by its name; and "random"."""
        return (*(name.lower() for name in self.game.action_names), "random")

    def start(self, seeds: Tensor) -> tuple[None, Tensor]:
        """See :meth:`SteppedGame.start`; nothing is drawn."""
        return None, self._eye[torch.zeros(2, *seeds.shape, dtype=torch.int64)]

    def step(self, state: None, actions: Tensor) -> tuple[None, Tensor, Tensor]:
        """See :meth:`SteppedGame.step`."""
        if not isinstance(actions, Tensor):
            raise TypeError(f"actions are {type(actions).__name__}, expected a torch.Tensor")
        if actions.dim() != 2 or actions.shape[0] != 2 or actions.dtype != torch.int64:
            raise ValueError(f"actions are {actions.dtype} {tuple(actions.shape)}, expected torch.int64 (2, E)")
        if bool(((actions < 0) | (actions >= self.num_actions)).any()):
            raise ValueError(f"actions hold one out of range, expected at least 0 and below {self.num_actions}")
        own, other = actions
        seen = 1 + self.num_actions * actions + actions.flip(0)
        return None, self._eye[seen], self.game.payoffs[:, own, other]

    def fixed_weights(self, player: str, state: None, seat: int) -> Tensor:
        """See :meth:`SteppedGame.fixed_weights`; (1, A), which stands for every game."""
        index = self.fixed_players.index(player)
        if index == self.num_actions:
            return torch.full((1, self.num_actions), 1 / self.num_actions, dtype=torch.float64)
        return torch.eye(self.num_actions, dtype=torch.float64)[index : index + 1]

    def shares(self, rewards: Tensor) -> dict[str, float]:
        """Nothing beside the rewards."""
        return {}
