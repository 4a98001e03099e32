"""What an environment looks like: a line of text, or a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mamrl.envs.batched import BatchedMatrixGame
from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.errors import choose
from mamrl.games.coin_game import CoinGame
from mamrl.games.half_cheetah import HalfCheetah
from mamrl.games.matrix import MatrixGame

if TYPE_CHECKING:
    from collections.abc import Sequence

RENDER_MODES = ("ansi", "rgb_array")
# what Gymnasium and PettingZoo want to know of it; a second of HalfCheetah has 20 control steps
METADATA: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 4}
HALF_CHEETAH_METADATA: dict[str, Any] = METADATA | {"render_fps": 20}

_BLACK = np.zeros(3)
# players and their coins: blue, vermilion and bluish green of Okabe & Ito 2008, then from the first again
_COLOURS = np.array([(0, 114, 178), (213, 94, 0), (0, 158, 115)], np.float64)
_CELL = 48


def checked_mode(mode: str | None) -> str | None:
    """A render mode that is offered, or None for none.

    Raises:
        ValueError: another one.
    """
    return None if mode is None else choose("render_mode", mode, RENDER_MODES)


def frames(batch: BatchedMatrixGame | BatchedCoinGame | HalfCheetah, mode: str | None) -> Sequence[str | np.ndarray]:
    """What each environment of a batch looks like.

    Args:
        batch: of any game.
        mode: "ansi" for text, "rgb_array" for pictures (height, width, 3) uint8.

    Raises:
        RuntimeError: there is no mode, the batch was never reset, or its simulations are closed.
        OSError: HalfCheetah's pictures, where no offscreen renderer works.
    """
    if mode is None:
        choices = " or ".join(f"'{offered}'" for offered in RENDER_MODES)
        raise RuntimeError(f"render() draws nothing without a render_mode: make the environment with {choices}")
    text = mode == "ansi"
    if isinstance(batch, HalfCheetah):
        return [half_cheetah_text(*row) for row in zip(*_run(batch), strict=True)] if text else batch.pictures()
    elapsed = batch.elapsed.tolist()
    if isinstance(batch, BatchedCoinGame):
        if batch.state is None:
            raise RuntimeError("the environments have not been reset, call reset() before render()")
        rows = batch.state.tolist()
        if text:
            return [coin_game_text(batch.game, row, t) for row, t in zip(rows, elapsed, strict=True)]
        return [coin_game_picture(batch.game, row) for row in rows]
    if batch.states is None:
        raise RuntimeError("the environments have not been reset, call reset() before render()")
    states = batch.states[0].tolist()
    if text:
        return [matrix_game_text(batch.game, state, t) for state, t in zip(states, elapsed, strict=True)]
    return [matrix_game_picture(batch.game, state) for state in states]


def matrix_game_text(game: MatrixGame, state: int, elapsed: int) -> str:
    """Who played what, and what it paid; ``state`` is the first player's."""
    head = f"{game.name}, step {elapsed}: "
    if state == 0:
        return head + "nobody has played yet"
    played = np.unravel_index(state - 1, game.action_counts)
    rewards = game.payoffs.flatten(1)[:, state - 1].tolist()
    each = zip(played, rewards, strict=True)
    return head + ", ".join(f"player {p} played {a} for {reward:g}" for p, (a, reward) in enumerate(each))


def matrix_game_picture(game: MatrixGame, state: int) -> np.ndarray:
    """The payoffs as a table: a row for each action of the first player, a column for the others' joint actions.

    A cell has a stripe a player, in its colour, the fuller the more it is paid; what was played last is framed.
    """
    rows = game.action_counts[0]
    columns = (game.num_states - 1) // rows
    payoffs = game.payoffs.double().reshape(game.num_players, rows, columns).cpu().numpy()
    lowest = payoffs.min()
    share = (payoffs - lowest) / max(payoffs.max() - lowest, np.finfo(float).tiny)
    stripe = max(_CELL // game.num_players, 4)
    colours = _COLOURS[np.arange(game.num_players) % len(_COLOURS)]
    # (rows, columns, players, 3)
    shades = 255 - share.transpose(1, 2, 0)[..., None] * (255 - colours)
    flat = shades.reshape(rows, columns * game.num_players, 3).round().astype(np.uint8)
    table = flat.repeat(_CELL, 0).repeat(stripe, 1)
    if state == 0:
        return table
    row, column = divmod(state - 1, columns)
    width, framed = stripe * game.num_players, table.copy()
    _fill(framed, row * _CELL, column * width, _CELL, width, _BLACK)
    inside = np.s_[row * _CELL + 3 : (row + 1) * _CELL - 3, column * width + 3 : (column + 1) * width - 3]
    framed[inside] = table[inside]
    return framed


def _fill(picture: np.ndarray, top: int, left: int, height: int, width: int, colour: np.ndarray) -> None:
    picture[top : top + height, left : left + width] = colour


def coin_game_text(game: CoinGame, state: Sequence[int], elapsed: int) -> str:
    """The grid: 0 and 1 are the players, a and b their coins, a dot is an empty cell."""
    letters = [""] * game.num_cells
    for cell, letter in _things(game, state):
        letters[cell] += letter
    width = max(len(cell) for cell in letters)
    cells = [(cell or ".").ljust(width) for cell in letters]
    lines = [" ".join(cells[row * game.width : (row + 1) * game.width]).rstrip() for row in range(game.height)]
    return "\n".join([f"{game.name}, step {elapsed}", *lines])


def coin_game_picture(game: CoinGame, state: Sequence[int]) -> np.ndarray:
    """The grid: a player fills its half of a cell, a coin is a square in its owner's colour within its half."""
    picture = np.full((game.height * _CELL, game.width * _CELL, 3), 255, np.uint8)
    half, margin = _CELL // 2, _CELL // 4
    for cell, letter in _things(game, state):
        owner = "01ab".index(letter) % 2
        top, left = cell // game.width * _CELL, cell % game.width * _CELL + owner * half
        if letter in "01":
            _fill(picture, top + 2, left + 2, _CELL - 4, half - 4, _COLOURS[owner])
        else:
            _fill(picture, top + margin, left + 4, _CELL - 2 * margin, half - 8, _BLACK)
            _fill(picture, top + margin + 2, left + 6, _CELL - 2 * margin - 4, half - 12, _COLOURS[owner])
    picture[::_CELL], picture[:, ::_CELL] = 200, 200
    return picture


def _things(game: CoinGame, state: Sequence[int]) -> list[tuple[int, str]]:
    """Cells and what is there: players 0 and 1, coins a and b of theirs."""
    coins = [(state[2], "ab"[state[3]])] if game.coins == 1 else [(state[2], "a"), (state[3], "b")]
    return [(state[0], "0"), (state[1], "1"), *coins]


def half_cheetah_text(x: float, velocity: float, height: float, pitch: float) -> str:
    """Where the robot is and how it runs."""
    return f"x {x:.2f} m, {velocity:+.2f} m/s, torso {height:+.2f} m from its start, pitched {pitch:+.2f} rad"


def _run(batch: HalfCheetah) -> tuple[np.ndarray, ...]:
    positions = batch.positions()
    return positions[:, 0], batch.velocities(), positions[:, 1], positions[:, 2]
