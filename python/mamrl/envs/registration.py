"""The ids that Gymnasium knows the library's environments by."""

from __future__ import annotations

from typing import Any

import gymnasium

# id without its version -> game and default opponent
_MATRIX_GAMES: dict[str, dict[str, Any]] = {
    "IPD": {"game": "ipd", "opponent": "tit-for-tat"},
    "RPS": {"game": "rps", "opponent": "random"},
    "MatchingPennies": {"game": "matching-pennies", "opponent": "random"},
    "StagHunt": {"game": "stag-hunt", "opponent": "tit-for-tat"},
    "Chicken": {"game": "chicken", "opponent": "tit-for-tat"},
    "MatrixGame": {},
}


def register() -> None:
    """Registers ``mamrl/IPD-v0`` and the others; what they need is imported when one of them is made."""
    for name, settings in _MATRIX_GAMES.items():
        gymnasium.register(
            f"mamrl/{name}-v0",
            entry_point="mamrl.envs.matrix_game:make_single",
            vector_entry_point="mamrl.envs.matrix_game:MatrixGameVectorEnv",
            kwargs=settings,
        )
    gymnasium.register(
        "mamrl/HalfCheetahDir-v0",
        entry_point="mamrl.envs.half_cheetah:make_single",
        vector_entry_point="mamrl.envs.half_cheetah:HalfCheetahVectorEnv",
    )
    gymnasium.register(
        "mamrl/CoinGame-v0",
        entry_point="mamrl.envs.coin_game_gym:make_single",
        vector_entry_point="mamrl.envs.coin_game_gym:CoinGameVectorEnv",
    )
