"""The games as environments for other people's tools: a batched tensor API, and on it Gymnasium's and PettingZoo's.

Importing this module registers the ``mamrl/...`` ids with Gymnasium where that is installed, so that
``gymnasium.make_vec("mamrl/IPD-v0", num_envs=4096)`` works after ``import mamrl.envs``.
"""

from mamrl.envs.batched import BatchedMatrixGame, GameStep, batched

__all__ = ["BatchedMatrixGame", "GameStep", "batched"]
