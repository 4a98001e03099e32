"""Where tensors live: the CPU, or a GPU for which mamrl's kernels were built."""

from __future__ import annotations

import os

import torch

from mamrl._load import load_optional


def missing_cuda() -> str:
    """What is missing here for ``device="cuda"``, as a sentence; empty where nothing is."""
    if not torch.version.cuda:
        return "torch is a CPU build"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    if load_optional("_C_cuda") is None:
        return "mamrl was built without its CUDA kernels: build it where nvcc and a CUDA build of torch are"
    return ""


def resolve_device(name: str | torch.device) -> torch.device:
    """The device of a name such as "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: the name is of no kind of device that mamrl has kernels for, or what it needs is missing here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device is '{name}', expected 'cpu' or 'cuda'") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device is '{name}', expected 'cpu' or 'cuda'")
    if device.type == "cuda":
        missing = missing_cuda()
        if missing:
            raise ValueError(f"device is '{name}', but {missing}")
        count = torch.cuda.device_count()
        if device.index is not None and device.index >= count:
            raise ValueError(f"device is '{name}', but there are {count} CUDA devices, counted from 0")
    return device


def set_threads(count: int) -> None:
    """Sets torch's threads.

    Raises:
        ValueError: no number that a machine could use: the thread library ends the process instead.
    """
    largest = max(64, 4 * (os.cpu_count() or 1))
    if not 1 <= count <= largest:
        raise ValueError(f"threads is {count}, expected 1 to {largest}")
    torch.set_num_threads(count)
