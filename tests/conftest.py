"""Which kernels the tests run on.

``MAMRL_POISON=1 pytest`` fills what the kernels, and torch.empty, allocate with NaN, so that reading it before it was
written fails.

``pytest --emulated-cuda tests/ops/test_gae.py`` runs tests against the CUDA kernels' own sources, compiled for the CPU
(docs/cuda.md); tests marked ``gpu`` run where mamrl's CUDA kernels and a device are.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

EMULATED = Path(os.environ.get("MAMRL_EMULATED_DIR", Path(__file__).parents[1] / "build" / "emulated")) / "_C.so"


def pytest_addoption(parser):
    parser.addoption(
        "--emulated-cuda",
        choices=("first", "last"),
        help="run on the emulated CUDA kernels, this thread of a block first",
    )


def pytest_configure(config):
    if os.environ.get("MAMRL_POISON", "0") not in ("", "0"):
        import torch

        torch.use_deterministic_algorithms(True, warn_only=True)
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


@pytest.fixture(scope="session", autouse=True)
def temporary_folders(tmp_path_factory):
    """What a test, a library or a process of theirs leaves behind lies in pytest's own temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("left"))
        for name in ("TMPDIR", "TEMP", "TMP"):
            patch.setitem(os.environ, name, folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


def pytest_collection_modifyitems(items):
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    from mamrl.device import missing_cuda

    missing = missing_cuda()
    if missing:
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason=missing))
