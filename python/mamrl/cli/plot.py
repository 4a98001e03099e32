"""``mamrl plot``: several runs' reward by chain position (figures 5a and 5b of the paper), or their learning curves."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "plot",
        help="plot reward by chain position of several runs, or their learning curves",
        description="Meta-tests runs and plots their reward by chain position, one panel for each kind of peer. Runs "
        "that differ in their seeds alone are one curve: its band is the 95% interval over runs, or over personas "
        "where there is a single run. Where experiments differ, the legend says in what.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, and folders of mamrl sweep")
    parser.add_argument("--out", required=True, help="the picture, e.g. figure.png")
    parser.add_argument("--learning", action="store_true", help="validation AUC by iteration, from the runs' logs")
    parser.add_argument("--repeats", type=int, default=5, help="times each chain is played afresh (default 5)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tests and plots."""
    from pathlib import Path

    from mamrl.experiments.sweep import run_folders
    from mamrl.plotting import curve_label, plot_adaptation, plot_learning
    from mamrl.training.runs import load_run

    folder = Path(args.out).parent
    if not folder.is_dir():
        raise ValueError(f"--out is {args.out}, but there is no folder {folder}")
    found = [(label, load_run(folder)) for name in args.runs for label, folder in run_folders(Path(name))]
    labels, trained = [label or curve_label(run) for label, run in found], [run for _, run in found]
    if args.learning:
        plot_learning(trained, args.out, labels)
    else:
        plot_adaptation([(run, run.test(repeats=args.repeats)) for run in trained], args.out, labels)
    print(f"wrote {args.out}")
    return 0
