"""``mamrl test``: the papers' meta-test of trained runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mamrl.evaluation import MetaTest
    from mamrl.training.runs import Run


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "test",
        help="meta-test trained runs",
        description="Lets a trained agent adapt to every test persona while the persona learns too, and prints the "
        "mean reward a step at each chain position with 95% intervals over personas, all and by kind of peer, and the "
        "AUC (the sum over l = 1..L). Also written to RUN/test.csv and RUN/test_actions.csv.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--repeats", type=int, default=5, help="times each chain is played afresh (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampled trajectories (default 0)")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="which personas (default test)")
    parser.add_argument("--last", action="store_true", help="the last checkpoint instead of the best")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tests each run; prints a table and writes two CSV files beside it."""
    from mamrl.distributed import joined
    from mamrl.training.runs import load_run

    if args.repeats < 1:
        raise ValueError(f"--repeats is {args.repeats}, expected at least 1")
    with joined() as ranks:
        for folder in args.runs:
            trained = load_run(folder, "last" if args.last else "best")
            result = trained.test(args.split, args.seed, args.repeats, ranks)
            if ranks.first:
                _report(Path(folder), trained, args.split, result)
    return 0


def _report(folder: Path, trained: Run, split: str, result: MetaTest) -> None:
    from mamrl.checkpoint import write_text

    experiment = trained.setting.experiment
    what = f"{experiment.algorithm}, {experiment.agent}, iteration {trained.iteration}"
    print(f"{folder}: {what}, {split} personas")
    print(result.table() + "\n")
    write_text(folder / f"{split}.csv", result.csv())
    write_text(folder / f"{split}_actions.csv", result.actions_csv(trained.setting.game.state_names()))
