"""What a type checker sees of the library from outside is what is there, and not Any."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXPECTED = [
    "mamrl.games.matrix.MatrixGame",
    "mamrl.envs.batched.BatchedMatrixGame",
    "mamrl.games.half_cheetah.HalfCheetah",
    "mamrl.envs.coin_game.BatchedCoinGame",
    "mamrl.envs.batched.BatchedMatrixGame",
    "torch._tensor.Tensor",
    "mamrl.training.runs.Run",
    "mamrl.evaluation.meta_test.MetaTest",
]


@pytest.mark.slow
def test_a_users_file_sees_types(tmp_path):
    pytest.importorskip("mypy")
    file = Path(__file__).with_name("users_file.py")
    arguments = ["--follow-imports=silent", "--ignore-missing-imports", "--cache-dir", str(tmp_path), str(file)]
    found = subprocess.run([sys.executable, "-m", "mypy", *arguments], capture_output=True, text=True).stdout
    revealed = re.findall(r'Revealed type is "([^"]+)"', found)
    assert [name.split(" ")[0] for name in revealed] == EXPECTED, found
