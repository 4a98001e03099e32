"""Importing mamrl costs what importing torch does: it loads its own modules, and the heavy optional ones when used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"gymnasium", "imageio", "matplotlib", "mujoco", "pandas", "pettingzoo", "scipy", "tensorboard"}


def modules_after(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_import_mamrl_loads_nothing_but_torch_and_itself():
    assert modules_after("import mamrl") - modules_after("import torch") == {"mamrl"}


@pytest.mark.parametrize(
    "statement",
    [
        "from mamrl import ops, preset, train, meta_test",
        "import mamrl.games.half_cheetah",
        "import mamrl.shaping.meva",
        "from mamrl.cli import build_parser; build_parser()",
    ],
)
def test_optional_packages_wait_until_they_are_used(statement):
    assert not modules_after(statement) & HEAVY
