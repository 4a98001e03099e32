"""What `import mamrl` costs beside `import torch`, in fresh interpreters that take turns."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.benchmark(group="import in a fresh interpreter")
ROUNDS = 7


def import_fresh(statement: str) -> None:
    subprocess.run([sys.executable, "-c", statement], check=True)


def alternate(benchmark, statement: str, other: str) -> None:
    benchmark.pedantic(import_fresh, args=(statement,), setup=lambda: import_fresh(other), rounds=ROUNDS)


def test_mamrl(benchmark):
    alternate(benchmark, "import mamrl", "import torch")


def test_mamrl_with_training(benchmark):
    alternate(benchmark, "from mamrl import ops, preset, train", "import torch")


def test_rival_torch(benchmark):
    alternate(benchmark, "import torch", "import mamrl")
