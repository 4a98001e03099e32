"""Modules by the names that they had before they moved into packages: each still imports, and is the same module."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

MOVED = {
    "mamrl.agents": "mamrl.config.setting",
    "mamrl.capture": "mamrl.training.capture",
    "mamrl.crossplay": "mamrl.evaluation.crossplay",
    "mamrl.estimators": "mamrl.meta.objectives",
    "mamrl.exact_chain": "mamrl.meta.exact_chain",
    "mamrl.gaussian_policy": "mamrl.policies.gaussian",
    "mamrl.gradients": "mamrl.meta.gradients",
    "mamrl.inner": "mamrl.meta.inner_step",
    "mamrl.learner": "mamrl.training.learner",
    "mamrl.locomotion": "mamrl.games.locomotion",
    "mamrl.module_policy": "mamrl.policies.module",
    "mamrl.opponent_model": "mamrl.meta.opponent_model",
    "mamrl.pair_layers": "mamrl.ops.reference.pair_network",
    "mamrl.personas": "mamrl.populations.personas",
    "mamrl.reference": "mamrl.ops.reference",
    "mamrl.rollouts": "mamrl.games.trajectories",
    "mamrl.runs": "mamrl.training.runs",
    "mamrl.shaping.evaluation": "mamrl.evaluation.learning_rules",
    "mamrl.strategies": "mamrl.policies.strategies",
    "mamrl.teammates": "mamrl.populations.teammates",
}


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # the import system has just written the old name's spec over the module's own
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Lets the old names be found, after everything that is there under its own."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
