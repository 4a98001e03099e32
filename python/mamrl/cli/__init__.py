"""The command line: one module a command, each with ``add_parser`` and ``run``.

May import everything, and does so when a command runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

# the module of each command, in the order of --help
COMMANDS = (
    "demo",
    "train",
    "self-play",
    "sweep",
    "test",
    "diagnose",
    "plot",
    "population",
    "render",
    "reproduce",
    "crossplay",
    "shape",
    "info",
    "completion",
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``mamrl`` with all of its commands."""
    parser = argparse.ArgumentParser(
        prog="mamrl",
        description="Learning to learn among other learners: train, test and compare meta-agents and opponent shapers.",
        epilog="Start with 'mamrl demo', or 'mamrl train ipd-exact --out runs/exact' (seconds).",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module("mamrl.cli." + name.replace("-", "_"))
        module.add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; wrong input is one sentence on standard error and exit status 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for word in words:
        # argparse would take the end of options for no value at all, and hand on an empty list
        if word.startswith("--") and word.endswith("=--"):
            print(f"mamrl: error: {word[:-3]} is '--', expected a value", file=sys.stderr)
            return 2
    parsed = build_parser().parse_args(words)
    try:
        return parsed.run(parsed) or 0
    except KeyboardInterrupt:
        print("mamrl: stopped; what was saved can be resumed", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError) as error:
        print(f"mamrl: error: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
