"""The ids that Gymnasium knows the library's environments by.

Gymnasium has no plugins any more, and importing it takes longer than importing this library. So nothing is imported
here: the ids are registered as soon as both have been imported, whichever came first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# where Gymnasium keeps its ids
_REGISTRATION = "gymnasium.envs.registration"

# name of the id -> the module of its environments, the classes of one and of many, and settings of the id's own
_MATRIX_GAME = ("mamrl.envs.matrix_game", "MatrixGameEnv", "MatrixGameVectorEnv")
ENVIRONMENTS: dict[str, tuple[tuple[str, str, str], dict[str, Any]]] = {
    "IPD": (_MATRIX_GAME, {"game": "ipd", "opponent": "tit-for-tat"}),
    "RPS": (_MATRIX_GAME, {"game": "rps", "opponent": "random"}),
    "MatchingPennies": (_MATRIX_GAME, {"game": "matching-pennies", "opponent": "random"}),
    "StagHunt": (_MATRIX_GAME, {"game": "stag-hunt", "opponent": "tit-for-tat"}),
    "Chicken": (_MATRIX_GAME, {"game": "chicken", "opponent": "tit-for-tat"}),
    "MatrixGame": (_MATRIX_GAME, {}),
    "HalfCheetahDir": (("mamrl.envs.half_cheetah", "HalfCheetahEnv", "HalfCheetahVectorEnv"), {}),
    "CoinGame": (("mamrl.envs.coin_game_gym", "CoinGameEnv", "CoinGameVectorEnv"), {}),
}


def install() -> None:
    """Registers ``mamrl/IPD-v0`` and the others: now if Gymnasium has been imported, or else when it is."""
    registration = sys.modules.get(_REGISTRATION)
    if registration is not None and hasattr(registration, "register"):
        _register(registration)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _register(registration: ModuleType) -> None:
    for name, ((module, one, many), settings) in ENVIRONMENTS.items():
        env_id = f"mamrl/{name}-v0"
        if env_id not in registration.registry:
            points = {"entry_point": f"{module}:{one}", "vector_entry_point": f"{module}:{many}"}
            registration.register(env_id, **points, kwargs=dict(settings))


class _Finder(MetaPathFinder):
    """Finds Gymnasium's module once, as the others would have, and has it loaded by :class:`_Loader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _REGISTRATION:
            return None
        sys.meta_path.remove(self)
        found = (finder.find_spec(fullname, path, target) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module by its own loader, then registers the ids with it.

    Args:
        loader: the module's own, which is the only one that it knows of afterwards.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register(module)
