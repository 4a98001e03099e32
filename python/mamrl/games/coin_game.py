"""The coin game (Lerer & Peysakhovich 2017; Foerster et al. 2018): its rules, with every published variant by name.

Two players move at once on a grid whose edges are joined. Coins have an owner. Whoever takes a coin gets 1, and the
owner of a coin that the other takes loses 2. What the published codes do differently is a field of :class:`CoinGame`.

A state is four numbers (..., 4): the players' cells and, with one coin, its cell and its owner; with two, the cells of
the first and of the second player's coin. A cell is ``row * width + column``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mamrl.errors import choose

STEPS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0), "stay": (0, 0)}
TIES = ("both", "first")
NEW_COINS = ("free", "anywhere")
VIEWS = ("own-first", "same")
LARGEST_SIDE = 16


@dataclass(frozen=True)
class CoinGame:
    """The rules of one variant.

    Attributes:
        name: shown in logs and plots.
        grid: (height, width), each 2 to 16; an integer makes a square.
        coins: 1, whose owner changes each time that it is taken; or 2, one of each player.
        moves: names of :data:`STEPS`, in the order of the actions.
        tie: who is paid where both arrive at a coin: "both", so that its owner ends at 1 - 2; or "first", the first
            player alone, for whom the second does not count as having arrived.
        apart: whether players begin in different cells.
        new_coin: "free", any cell without a player; or "anywhere", a player's cell too, who then does not take it by
            being there but by arriving or staying.
        view: "own-first", each player sees itself and its coin first; or "same", both see what the first one does.
        pays_last: whether an episode's last step is paid.

    Raises:
        TypeError: a grid that is neither an integer nor a pair.
        ValueError: a field is not as above.
    """

    name: str = "coin-game"
    grid: int | tuple[int, int] = 3
    coins: int = 1
    moves: Sequence[str] = ("right", "left", "down", "up")
    tie: str = "both"
    apart: bool = False
    new_coin: str = "free"
    view: str = "own-first"
    pays_last: bool = True

    def __post_init__(self) -> None:
        grid = (self.grid, self.grid) if isinstance(self.grid, int) else self.grid
        if not isinstance(grid, tuple | list) or len(grid) != 2 or not all(type(side) is int for side in grid):
            raise TypeError(f"grid is {self.grid!r}, expected an integer or a pair of them, (height, width)")
        if min(grid) < 2 or max(grid) > LARGEST_SIDE:
            raise ValueError(
                f"grid is {grid[0]} x {grid[1]}, expected sides of 2 to {LARGEST_SIDE}: it has to hold two players and "
                "a coin"
            )
        object.__setattr__(self, "grid", tuple(grid))
        if self.coins not in (1, 2):
            raise ValueError(f"coins is {self.coins!r}, expected 1 or 2")
        for move in self.moves:
            choose("move", move, STEPS)
        if not self.moves or len(set(self.moves)) != len(self.moves):
            raise ValueError(f"moves are {list(self.moves)}, expected at least one, each once")
        object.__setattr__(self, "moves", tuple(self.moves))
        choose("tie", self.tie, TIES)
        choose("new_coin", self.new_coin, NEW_COINS)
        choose("view", self.view, VIEWS)

    @property
    def height(self) -> int:
        """Rows."""
        return self.grid[0]  # type: ignore[index]

    @property
    def width(self) -> int:
        """Columns."""
        return self.grid[1]  # type: ignore[index]

    @property
    def num_cells(self) -> int:
        """C = height * width."""
        return self.height * self.width

    @property
    def num_actions(self) -> int:
        """A."""
        return len(self.moves)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """How many values each of a state's four numbers takes."""
        cells = self.num_cells
        return (cells, cells, cells, 2 if self.coins == 1 else cells)

    def rules(self) -> list[int]:
        """The fields as the compiled op takes them (csrc/common/coin_game.h); moves as two bits each, plus 1."""
        rows, columns = (
            sum((STEPS[move][axis] + 1) << (2 * a) for a, move in enumerate(self.moves)) for axis in (0, 1)
        )
        switches = [self.tie == "first", self.apart, self.new_coin == "free", self.view == "same", self.pays_last]
        return [self.height, self.width, self.coins, self.num_actions, rows, columns, *map(int, switches)]


# "one-coin" and "two-coins" are for new work; the others are what the papers' code plays
VARIANTS = {
    "one-coin": CoinGame("one-coin"),
    "two-coins": CoinGame("two-coins", coins=2, new_coin="anywhere"),
    "lola": CoinGame("lola", tie="first", apart=True, view="same"),
    "lola-dice": CoinGame("lola-dice", apart=True, view="same"),
    "pola": CoinGame("pola", view="same"),
    "loqa": CoinGame("loqa", moves=("left", "right", "up", "down")),
    "mfos": CoinGame("mfos", coins=2, new_coin="anywhere", view="same"),
    "jaxmarl": CoinGame(
        "jaxmarl", coins=2, new_coin="anywhere", moves=("right", "left", "down", "up", "stay"), pays_last=False
    ),
}


def coin_game(variant: str | CoinGame = "one-coin", **changes: object) -> CoinGame:
    """The rules by name, or as they are, with some fields changed.

    Args:
        variant: a name of :data:`VARIANTS`, or rules.
        **changes: fields of :class:`CoinGame`.

    Raises:
        TypeError: an unknown field.
        ValueError: an unknown variant, or a field's value that is not one of its own.
    """
    game = variant if isinstance(variant, CoinGame) else VARIANTS[choose("variant", variant, VARIANTS)]
    return replace(game, **changes)  # type: ignore[arg-type]


# ---- players that learn nothing ----------------------------------------------------------------------

PLAYERS = ("cooperate", "defect", "random", "pola-cooperate")


def move_weights(game: CoinGame, player: str, state: Tensor, seat: int) -> Tensor:
    """The probabilities with which a fixed player moves.

    "defect" goes to the nearest coin by a shortest way. "cooperate" goes to its own coin and, where the only coin is
    the other's, as far from it as it gets; with two coins it steps on the other's only where its own is too, and where
    it cannot help it. Equally good moves are equally probable. "pola-cooperate" is POLA's cooperator, for one coin: up
    or down before left or right, and from the other's coin by the move opposite to the one that would lead there.

    Args:
        game: the rules.
        player: a name of :data:`PLAYERS`.
        state: (..., 4) integers.
        seat: 0 or 1, who of the two it is.

    Returns:
        (..., A) float64.

    Raises:
        ValueError: an unknown player, or one that the game's rules have no place for; or states of another shape.
    """
    choose("player", player, PLAYERS)
    if not isinstance(state, Tensor) or state.shape[-1:] != (4,):
        came = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
        raise ValueError(f"state is {came}, expected a tensor (..., 4)")
    if seat not in (0, 1):
        raise ValueError(f"seat is {seat!r}, expected 0 or 1")
    state = state.long()
    if player == "random":
        return torch.full((*state.shape[:-1], game.num_actions), 1 / game.num_actions, dtype=torch.float64)
    actions = torch.arange(game.num_actions, device=state.device)
    reached = moved(game, state[..., seat, None], actions)
    away = [distance(game, reached, state[..., coin, None]) for coin in range(2, 2 + game.coins)]
    if player == "defect":
        cost = away[0] if game.coins == 1 else torch.minimum(*away)
    elif player == "pola-cooperate":
        return _pola_cooperator(game, state, seat)
    elif game.coins == 1:
        cost = torch.where(state[..., 3, None] == seat, away[0], -away[0])
    else:
        cost = away[seat] + ((away[1 - seat] == 0) & (away[seat] > 0)) * 2 * LARGEST_SIDE
    best = (cost == cost.amin(-1, keepdim=True)).to(torch.float64)
    return best / best.sum(-1, keepdim=True)


def _pola_cooperator(game: CoinGame, state: Tensor, seat: int) -> Tensor:
    if game.coins != 1:
        raise ValueError(f"the player 'pola-cooperate' knows one coin, and '{game.name}' has {game.coins}")
    here, coin = state[..., seat, None], state[..., 2, None]
    actions = torch.arange(game.num_actions, device=state.device)
    gained = distance(game, here, coin) - distance(game, moved(game, here, actions), coin)
    vertical = torch.tensor([STEPS[move][0] != 0 for move in game.moves], device=state.device)
    towards = (gained * 2 + (gained > 0) * vertical).argmax(-1)
    opposite = [[(-row, -column) for row, column in STEPS.values()].index(STEPS[move]) for move in game.moves]
    names = list(STEPS)
    back = torch.tensor([game.moves.index(names[i]) for i in opposite], device=state.device)
    chosen = torch.where(state[..., 3] == seat, towards, back[towards])
    return torch.nn.functional.one_hot(chosen, game.num_actions).to(torch.float64)


# ---- the grid ------------------------------------------------------------------------------------------


def moved(game: CoinGame, cells: Tensor, actions: Tensor) -> Tensor:
    """The cells reached from ``cells`` by ``actions``, int64, broadcast against each other."""
    steps = torch.tensor([STEPS[move] for move in game.moves], device=cells.device)[actions]
    rows = (cells // game.width + steps[..., 0]) % game.height
    return rows * game.width + (cells % game.width + steps[..., 1]) % game.width


def distance(game: CoinGame, cells: Tensor, others: Tensor) -> Tensor:
    """The fewest steps from ``cells`` to ``others``, int64, broadcast against each other."""
    rows = (cells // game.width - others // game.width) % game.height
    columns = (cells % game.width - others % game.width) % game.width
    return torch.minimum(rows, game.height - rows) + torch.minimum(columns, game.width - columns)
