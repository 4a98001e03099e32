"""Typed faces of the compiled ops: checks, fake kernels and autograd; one file per op."""

from mamrl.ops.lstm import lstm, lstm_policy, lstm_recorded, lstm_value
from mamrl.ops.rollout import matrix_game_rollout

__all__ = [
    "lstm",
    "lstm_policy",
    "lstm_recorded",
    "lstm_value",
    "matrix_game_rollout",
]
