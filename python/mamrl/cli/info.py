"""``mamrl info``: what is installed, and what was built."""

from __future__ import annotations

import argparse
import platform
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "info",
        help="print versions, SIMD level, threads and which kernels were built",
        description="Prints what a bug report should hold: versions, the SIMD level in use, the thread count, and "
        "whether CUDA kernels and MuJoCo were built and load.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints one fact a line."""
    import numpy
    import torch

    import mamrl
    from mamrl._load import load_optional

    facts = {
        "mamrl": mamrl.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "SIMD level": torch.ops.mamrl.simd_level(),
        "threads": torch.get_num_threads(),
        "CUDA kernels": "built" if load_optional("_C_cuda") else "not built",
        "CUDA device": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "MuJoCo": _mujoco(),
    }
    for name, fact in facts.items():
        print(f"{name:13} {fact}")
    return 0


def _mujoco() -> str:
    from mamrl.games.half_cheetah import MUJOCO_VERSION, load_module

    try:
        load_module()
    except ImportError as error:
        return f"not available ({error})"
    return f"built for mujoco {MUJOCO_VERSION}"
