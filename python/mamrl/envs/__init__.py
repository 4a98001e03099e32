"""The games as environments for other people's tools: a batched tensor API, and on it Gymnasium's and PettingZoo's.

Where Gymnasium is installed, ``gymnasium.make_vec("mamrl/IPD-v0", num_envs=4096)`` works after ``import mamrl``.

May import everything but ``experiments`` and ``cli``; nothing but they may import it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mamrl.envs.batched import BatchedMatrixGame, GameStep, batched
from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.envs.learning import LearningOpponent

if TYPE_CHECKING:
    from mamrl.envs.coin_game_gym import CoinGameVectorEnv
    from mamrl.envs.half_cheetah import HalfCheetahVectorEnv
    from mamrl.envs.matrix_game import MatrixGameVectorEnv
    from mamrl.envs.parallel_env import parallel
    from mamrl.envs.stable_baselines import StableBaselinesVecEnv
    from mamrl.envs.torchrl import TorchRLEnv

# these need Gymnasium, PettingZoo, Stable-Baselines3 or TorchRL, and are loaded when asked for
_OPTIONAL = {
    "CoinGameVectorEnv": "coin_game_gym",
    "HalfCheetahVectorEnv": "half_cheetah",
    "MatrixGameVectorEnv": "matrix_game",
    "StableBaselinesVecEnv": "stable_baselines",
    "TorchRLEnv": "torchrl",
    "parallel": "parallel_env",
}

__all__ = [
    "BatchedCoinGame",
    "BatchedMatrixGame",
    "CoinGameVectorEnv",
    "GameStep",
    "HalfCheetahVectorEnv",
    "LearningOpponent",
    "MatrixGameVectorEnv",
    "StableBaselinesVecEnv",
    "TorchRLEnv",
    "batched",
    "parallel",
]


def __getattr__(name: str) -> Any:
    if name not in _OPTIONAL:
        raise AttributeError(f"module 'mamrl.envs' has no attribute '{name}'")
    return getattr(importlib.import_module(f"mamrl.envs.{_OPTIONAL[name]}"), name)
