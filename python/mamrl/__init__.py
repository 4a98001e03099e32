"""Learning to learn among other learners: meta-learned and opponent-shaping agents, with a C++/CUDA core."""

from typing import TYPE_CHECKING, Any

from mamrl import _gymnasium, _load, _moved

_load.load_kernels()
_moved.install()
_gymnasium.install()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mamrl import (
        config,
        envs,
        evaluation,
        experiments,
        games,
        meta,
        ops,
        plotting,
        policies,
        populations,
        shaping,
        training,
    )
    from mamrl.config import Experiment
    from mamrl.experiments import preset
    from mamrl.training import train
    from mamrl.training.runs import load_run, meta_test

# where each public name lives; loaded when asked for, so that `import mamrl` costs little more than torch
_PUBLIC = {
    "Experiment": "mamrl.config",
    "load_run": "mamrl.training.runs",
    "meta_test": "mamrl.training.runs",
    "preset": "mamrl.experiments",
    "train": "mamrl.training",
}
_MODULES = (
    "config",
    "envs",
    "evaluation",
    "experiments",
    "games",
    "meta",
    "ops",
    "personas",
    "plotting",
    "policies",
    "populations",
    "reference",
    "rollouts",
    "shaping",
    "training",
)

__all__ = [
    "Experiment",
    "config",
    "envs",
    "evaluation",
    "experiments",
    "games",
    "load_run",
    "meta",
    "meta_test",
    "ops",
    "plotting",
    "policies",
    "populations",
    "preset",
    "shaping",
    "train",
    "training",
]


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})


def __getattr__(name: str) -> Any:
    import importlib

    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"mamrl.{name}")
    raise AttributeError(f"module 'mamrl' has no attribute '{name}'")
