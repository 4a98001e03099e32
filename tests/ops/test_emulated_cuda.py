"""The CUDA kernels pass the CPU's own tests, line by line on the CPU.

Another process runs the ops' tests with the .cu files compiled for the CPU in the place of the CPU's kernels
(csrc/cuda/emulated): a block's threads one after another between its barriers, the first or the last one first.
What one thread reads that another writes without a barrier between comes out stale in one of the two orders.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import EMULATED

HERE = Path(__file__).parent
OPS = ["gae", "returns", "baseline", "table", "dice", "lstm", "gru", "rollout", "quantile_huber", "iterated_2x2"]
# of torch's machinery around an op, which is the same for all kernels, and slow
NOT_OF_KERNELS = "not registrations and not registered and not compiles and not scripts"


@pytest.mark.slow
@pytest.mark.parametrize("order", ["first", "last"])
def test_kernels_pass_the_tests_of_their_ops(order):
    assert EMULATED.exists(), f"{EMULATED} was not built; 'make test' and 'make inplace' build it"
    files = [f"{HERE}/test_{op}.py" for op in OPS]
    arguments = ["-v", "-p", "no:cacheprovider", "-k", NOT_OF_KERNELS, f"--emulated-cuda={order}", *files]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-m", "pytest", *arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed
    assert int(passed[1]) > 400
