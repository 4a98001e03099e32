"""Loads the compiled modules, with a clear error when one is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

_MINIMUM_TORCH = (2, 11)


def load_kernels() -> ModuleType:
    """Loads ``mamrl._C``, which registers every ``torch.ops.mamrl`` op, and their CUDA kernels where they were built.

    Raises:
        ImportError: torch is too old, or the module was not built.
    """
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _MINIMUM_TORCH:
        raise ImportError(f"mamrl needs torch >= 2.11, but torch {torch.__version__} is installed")
    try:
        kernels = importlib.import_module("mamrl._C")
    except ImportError as error:
        raise ImportError(
            f"mamrl's compiled module is missing or does not load ({error}); build it with 'pip install .'"
        ) from error
    # its symbols are torch's own of a CUDA build, which a CPU build has not
    load_optional("_C_cuda")
    return kernels


def load_optional(name: str) -> ModuleType | None:
    """Loads a module that only some builds have (``_C_cuda``, ``_C_mujoco``); None where it is absent."""
    try:
        return importlib.import_module(f"mamrl.{name}")
    except ImportError:
        return None
