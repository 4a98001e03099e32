"""Which kernels the tests run on.

``pytest --emulated-cuda tests/ops/test_gae.py`` runs tests against the CUDA kernels' own sources, compiled for the CPU
(docs/cuda.md); tests marked ``gpu`` run where mamrl's CUDA kernels and a device are.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

EMULATED = Path(__file__).parents[1] / "build" / "emulated" / "_C.so"


def pytest_addoption(parser):
    parser.addoption(
        "--emulated-cuda",
        choices=("first", "last"),
        help="run on the emulated CUDA kernels, this thread of a block first",
    )


def pytest_configure(config):
    order = config.getoption("--emulated-cuda")
    if order is None:
        return
    # before anything imports mamrl: its module of kernels is then this one
    spec = importlib.util.spec_from_file_location("mamrl._C", EMULATED)
    import torch

    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["mamrl._C"] = module
    torch.ops.mamrl_emulated.set_thread_order(order)


def pytest_collection_modifyitems(items):
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    from mamrl.device import missing_cuda

    missing = missing_cuda()
    if missing:
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason=missing))
