"""A plain-torch twin of every op, one file an op: what each kernel is tested against, and what a reader reads first.

Imports nothing of mamrl but its neighbours. Shapes: T time, M chains, K trajectories, n players, A actions, S states,
N hidden units. Nothing here is fast; autograd differentiates all of it, to any order.
"""

from mamrl.ops.reference.baseline import linear_baseline
from mamrl.ops.reference.dice import (
    dice_gradient,
    dice_hessian_product,
    dice_objective,
    dice_pair_weights,
    loaded_dice_objective,
    magic_box,
)
from mamrl.ops.reference.gae import gae
from mamrl.ops.reference.gru import gru, gru_cell, gru_step
from mamrl.ops.reference.lstm import lstm, lstm_cell
from mamrl.ops.reference.matrix_game import AUTORESETS, matrix_game_steps, matrix_game_turn, tabular_actions
from mamrl.ops.reference.quantile_huber import quantile_huber
from mamrl.ops.reference.random import philox, sample, uniforms
from mamrl.ops.reference.returns import discount_powers, discounted_returns
from mamrl.ops.reference.rollout import LSTM, LSTM_WITH_VALUE, NUM_TENSORS, TABULAR, joint_state, matrix_game_rollout
from mamrl.ops.reference.table import table_accumulate, table_lookup

__all__ = [
    "AUTORESETS",
    "LSTM",
    "LSTM_WITH_VALUE",
    "NUM_TENSORS",
    "TABULAR",
    "dice_gradient",
    "dice_hessian_product",
    "dice_objective",
    "dice_pair_weights",
    "discount_powers",
    "discounted_returns",
    "gae",
    "gru",
    "gru_cell",
    "gru_step",
    "joint_state",
    "linear_baseline",
    "loaded_dice_objective",
    "lstm",
    "lstm_cell",
    "magic_box",
    "matrix_game_rollout",
    "matrix_game_steps",
    "matrix_game_turn",
    "philox",
    "quantile_huber",
    "sample",
    "table_accumulate",
    "table_lookup",
    "tabular_actions",
    "uniforms",
]
