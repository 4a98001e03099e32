"""``mamrl reproduce``: a figure of a paper, with its numbers checked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "reproduce",
        help="reproduce a figure of a paper",
        description="Writes a figure's CSV, PNG and verdict.md into a folder of its name, and prints the verdict. "
        "A run that was stopped continues with --resume.",
    )
    parser.add_argument("figure", nargs="?", help="the figure's name; without it, all are listed")
    parser.add_argument("--list", action="store_true", help="what each figure shows and how long it takes")
    parser.add_argument("--out", type=Path, default=Path("runs/figures"), help="folder (default runs/figures)")
    parser.add_argument("--seeds", type=int, default=3, help="how many, counted from 0 (default 3)")
    parser.add_argument(
        "--budget", default="full", help="'full' as in the paper (default), or 'quick' to see that everything runs"
    )
    parser.add_argument("--resume", action="store_true", help="continue from what an earlier run left")
    parser.add_argument(
        "--training",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share of the paper's training of networks (default 1); the verdict says how far each network was trained",
    )
    parser.add_argument(
        "--agent",
        default="tabular",
        help="meta-agents of the matrix games: 'tabular' (default, minutes) or 'lstm', the papers' (hours)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings of the matrix games that run side by side (default 1)"
    )
    parser.add_argument(
        "--device",
        default="cpu",
        help="where agents and networks are trained: cpu, or cuda where mamrl was built with it",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Lists the figures, or reproduces one."""
    from mamrl.experiments.registry import Options, figure, figures

    if args.list or args.figure is None:
        for each in figures().values():
            print(f"{each.name:<18} {each.title}: {each.claim} (about {each.minutes:g} min)")
        return 0
    chosen = figure(args.figure)
    options = Options(args.out, args.seeds, args.budget, args.resume, args.training, args.agent, args.jobs, args.device)
    verdict = chosen.reproduce(options)
    print(verdict.read_text())
    return 0
