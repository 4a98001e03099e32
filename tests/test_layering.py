"""Data flows one way: a module imports only from what stands before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mamrl._moved import MOVED

PACKAGE = Path(__file__).parents[1] / "python" / "mamrl"
# the floors of the house, from the ground up: a package imports from those below, and from itself
LAYERS = [
    ["_gymnasium", "_load", "_moved", "errors", "device", "checkpoint", "distributed", "progress", "provenance"],
    ["ops"],
    ["games"],
    ["policies"],
    ["meta"],
    ["populations", "shaping"],
    ["config"],
    ["evaluation"],
    ["training"],
    ["plotting", "render", "envs"],
    ["experiments"],
    ["cli"],
]
ORDER = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts not in {("__init__",), ("__main__",)}:
            yield path, parts[0]


def imported(path: Path):
    """The top-level parts of mamrl that a file imports when it is run, type-checking blocks left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mamrl":
            rest = node.module.split(".")[1:]
            yield from rest[:1] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "mamrl" and len(parts) > 1:
                    yield parts[1]


@pytest.mark.parametrize(("path", "top"), list(modules()), ids=lambda value: getattr(value, "stem", value))
def test_module_imports_only_from_what_stands_before_it(path, top):
    assert top in ORDER, f"{top} has no place in the order of layers"
    for name in imported(path):
        assert f"mamrl.{name}" not in MOVED, f"{path.name} imports mamrl.{name} by its old name"
        if name not in ORDER:  # a constant of the package, such as __version__
            continue
        assert name == top or ORDER[name] < ORDER[top] or top in LAYERS[0], f"{path.name} ({top}) imports {name}"


PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_lives_there_and_what_it_may_import(package):
    docstring = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text())) or ""
    assert "May import" in docstring, f"{package}/__init__.py: {docstring!r}"


def test_the_house_has_no_more_than_twelve_floors():
    assert len(LAYERS) <= 12
