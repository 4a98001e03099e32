"""Typed faces of the compiled ops: checks, fake kernels and autograd; one file per op.

May import nothing of mamrl but the ground floor (``errors``, ``checkpoint``, ``device``). Each op has a twin in plain
torch in :mod:`mamrl.ops.reference`.
"""

from mamrl.ops.baseline import linear_baseline
from mamrl.ops.coin_game import CoinGameSteps, coin_game_steps
from mamrl.ops.dice import dice_derivatives, dice_objective, loaded_dice_objective
from mamrl.ops.gae import gae
from mamrl.ops.gru import gru
from mamrl.ops.lstm import lstm, lstm_policy, lstm_recorded, lstm_value
from mamrl.ops.matrix_game import GameSteps, matrix_game_steps, matrix_game_turn, tabular_actions
from mamrl.ops.memory import release_memory
from mamrl.ops.returns import discounted_returns
from mamrl.ops.rollout import matrix_game_rollout
from mamrl.ops.table import table_accumulate, table_lookup

__all__ = [
    "CoinGameSteps",
    "GameSteps",
    "coin_game_steps",
    "dice_derivatives",
    "dice_objective",
    "discounted_returns",
    "gae",
    "gru",
    "linear_baseline",
    "loaded_dice_objective",
    "lstm",
    "lstm_policy",
    "lstm_recorded",
    "lstm_value",
    "matrix_game_rollout",
    "matrix_game_steps",
    "matrix_game_turn",
    "release_memory",
    "table_accumulate",
    "table_lookup",
    "tabular_actions",
]
