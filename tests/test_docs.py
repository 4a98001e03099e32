"""The pages' code runs, their commands parse, and what the tutorial promises comes out.

A page's python blocks are one program, run in a fresh interpreter and an empty folder. A fence with a title (```cpp
title="kernel.cpp") is a file beside it. ``<!-- not run: WHY -->`` before a fence leaves it out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mamrl
from mamrl.cli import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*) *(.*)$")

# what must hold after a page's program has run
CLAIMS = {
    "docs/tutorial.md": """
aucs = {algorithm: float(test.auc.mean()) for algorithm, test in tests.items()}
assert aucs["meta-mapg"] > 4 and aucs["meta-pg"] < 0, aucs
assert policy[1] > 0.8 and policy[2] < 0.1, policy
import os
assert os.path.getsize("adaptation.png") > 10_000
""",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its first line of text, its language, what follows that, and its lines."""

    line: int
    language: str
    options: str
    lines: list[str]
    left_out: bool


def blocks(page: Path) -> Iterator[Block]:
    opened: Block | None = None
    before = ""
    for number, line in enumerate(page.read_text().splitlines()):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened = Block(number + 1, fence[2], fence[3], [], before.startswith("<!-- not run:"))
        elif opened is not None and fence and not fence[2]:
            yield opened
            opened = None
        elif opened is not None:
            opened.lines.append(line)
        before = line.strip() or before
    assert opened is None, f"{page} leaves the fence of line {opened.line if opened else 0} open"


def of_language(page: Path, language: str) -> list[Block]:
    return [block for block in blocks(page) if block.language == language and not block.left_out]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if of_language(page, "python")], ids=name)
def test_code_of_a_page_runs(page, tmp_path):
    for block in blocks(page):
        titled = re.search(r'title="(.+?)"', block.options)
        if titled:
            (tmp_path / titled[1]).write_text("\n".join(block.lines) + "\n")
    # pages speak as if from the repository's root, but what they write belongs elsewhere
    (tmp_path / "csrc").symlink_to(ROOT / "csrc")
    program: list[str] = []
    for block in of_language(page, "python"):
        # a traceback's line is the page's
        program += [""] * (block.line - len(program)) + block.lines
    script = tmp_path / "page.py"
    script.write_text("\n".join(program) + "\n" + CLAIMS.get(name(page), ""))
    # the mamrl that is tested, wherever the interpreter would look for one from there
    environment = os.environ | {"PYTHONPATH": str(Path(mamrl.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def commands(start: str) -> list[tuple[str, str]]:
    """(page, line) of every command of the shell blocks that starts so; a backslash joins lines as in a shell."""
    return [
        (name(page), line.strip())
        for page in PAGES
        for block in of_language(page, "sh")
        for line in "\n".join(block.lines).replace("\\\n", " ").splitlines()
        if line.strip().startswith(start)
    ]


@pytest.mark.parametrize(("page", "line"), commands("mamrl "))
def test_command_of_a_page_parses(page, line, capsys):
    arguments = shlex.split(line, comments=True)[1:]
    if "--help" in arguments:
        arguments.remove("--help")
        arguments = arguments[:1]
        assert arguments[0] in build_parser().format_help()
        return
    try:
        build_parser().parse_args(arguments)
    except SystemExit:
        pytest.fail(f"{page}: {line}\n{capsys.readouterr().err}")


@pytest.mark.parametrize(("page", "line"), commands("make "))
def test_target_of_a_page_exists(page, line):
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: {line}"


def cells(row: str) -> int:
    """Of a row of a table; a bar in code or after a backslash is no border."""
    return len(re.findall(r"\|", re.sub(r"`[^`]*`|\\\|", "", row))) - 1


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page):
    fenced = {block.line + i for block in blocks(page) for i in range(len(block.lines))}
    head = 0
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if not line.startswith("|") or number in fenced:
            head = 0
            continue
        head = head or cells(line)
        assert cells(line) == head, f"{name(page)}:{number}: {cells(line)} cells, expected {head}"


def test_the_reference_has_every_public_module():
    package = ROOT / "python" / "mamrl"
    told = [
        path
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for path in re.findall(r"::: ([\w.]+)\n( +.*)?", page.read_text())
    ]
    alone = {path for path, options in told}
    whole = {path for path, options in told if "show_submodules: true" in options}
    for file in package.rglob("*.py"):
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        # the command line tells of itself, and errors is what the others' checks are made of
        if re.search(r"\._|^mamrl\.(cli|errors)\b", module):
            continue
        assert module in alone or module.rpartition(".")[0] in whole, f"docs/reference/ does not have {module}"
