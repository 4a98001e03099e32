"""Gymnasium knows the ids once it and mamrl have been imported, in whatever order."""

import subprocess
import sys

import pytest

pytest.importorskip("gymnasium")

from mamrl._gymnasium import ENVIRONMENTS

PRELUDES = [
    "import mamrl, gymnasium",
    "import gymnasium, mamrl",
    "import mamrl.envs, gymnasium",
    "import mamrl; from gymnasium.envs.registration import make; import gymnasium",
    "import mamrl, importlib, gymnasium; importlib.reload(mamrl)",
]


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("prelude", PRELUDES)
def test_the_ids_are_known_after_both_imports(prelude):
    code = f"{prelude}\nprint(sum(key.startswith('mamrl/') for key in gymnasium.registry))"
    code += "\nprint(gymnasium.make('mamrl/IPD-v0').reset()[1])"
    code += "\nprint(gymnasium.make_vec('mamrl/IPD-v0', num_envs=2).num_envs)"
    assert run(code).split("\n") == [str(len(ENVIRONMENTS)), "{}", "2"]


@pytest.mark.parametrize("module", ["mamrl", "mamrl.envs"])
def test_an_id_may_name_its_module(module):
    code = f"import gymnasium; print(gymnasium.make('{module}:mamrl/IPD-v0').reset()[1])"
    code += f"\nprint(gymnasium.make_vec('{module}:mamrl/IPD-v0', num_envs=2).num_envs)"
    assert run(code).split("\n") == ["{}", "2"]


def test_gymnasium_finds_its_module_as_it_was():
    code = "import mamrl, gymnasium.envs.registration as r, sys, inspect; print(type(r.__loader__).__module__"
    code += ", r.__spec__.loader is r.__loader__, 'registry' in inspect.getsource(r)"
    code += ", any('_gymnasium' in type(f).__module__ for f in sys.meta_path))"
    name, *facts = run(code).split()
    assert "mamrl" not in name
    assert facts == ["True", "True", "False"]


def test_without_gymnasium_mamrl_imports():
    code = "import sys; sys.modules['gymnasium'] = None\nimport mamrl.envs\ntry:\n import gymnasium\n"
    code += "except ImportError as error: print('told')"
    assert run(code) == "told"
