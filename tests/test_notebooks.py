"""The notebooks run from top to bottom in a fresh interpreter, and come to what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mamrl

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"

# what must hold after the last cell
CLAIMS = {
    "tutorial.ipynb": """
aucs = {algorithm: float(test.auc.mean()) for algorithm, test in tests.items()}
assert aucs["meta-mapg"] > 4 and aucs["meta-pg"] < 0, aucs
assert policy[1] > 0.8 and policy[2] < 0.1, policy
assert all(len(axis.lines) == len(tests) for axis in axes)
""",
    "shape_an_opponent.ipynb": """
ends = {name: path[-1].mean() for name, path in paths.items()}
assert ends["naive, naive"] < -1.9 and ends["LOLA, LOLA"] > -1.2, ends
assert abs(reach[0.0] - float(ends["naive, naive"])) < 1e-4 and reach[25.0] > reach[0.0] + 0.5, reach
assert all(len(axis.lines) == 4 for axis in axes)
""",
}


def cells(notebook: Path) -> list[dict]:
    return json.loads(notebook.read_text())["cells"]


def test_every_notebook_is_executed():
    assert {path.name for path in NOTEBOOKS.glob("*.ipynb")} == set(CLAIMS)
    assert all(f"({name})" in (NOTEBOOKS / "index.md").read_text() for name in CLAIMS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAIMS)
def test_cells_of_a_notebook_run_in_order(name, tmp_path):
    pytest.importorskip("matplotlib")
    code = ["".join(cell["source"]) for cell in cells(NOTEBOOKS / name) if cell["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join([*code, CLAIMS[name]]))
    # the mamrl that is tested, a backend that needs no screen, and no threads that wait for each other
    environment = os.environ | {
        "PYTHONPATH": str(Path(mamrl.__file__).parents[1]),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_notebook_is_kept_without_outputs_and_its_links_lead_somewhere(name):
    for cell in cells(NOTEBOOKS / name):
        assert not cell.get("outputs")
        for target in re.findall(r"\]\(([^)#]+)", "".join(cell["source"])):
            if cell["cell_type"] == "markdown":
                assert (NOTEBOOKS / target).exists(), target
