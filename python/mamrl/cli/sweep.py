"""``mamrl sweep``: many runs, by seeds and fields."""

from __future__ import annotations

import argparse
from typing import Any

_EPILOG = """\
The same command again does what is left; with --index K --of N it does one share, for job arrays. Each run is a folder
OUT/FIELDS/seed-N as 'mamrl train' makes it; 'mamrl plot OUT' plots a sweep. A TOML file holds preset, seeds, [set], and
[grid] or [[runs]] (docs/scaling.md).

examples:
  mamrl sweep ipd-tabular --seeds 0-9 --grid algorithm=meta-mapg,meta-pg estimator=expected,published --out sweeps/terms
  mamrl sweep ipd-exact --seeds 0-4 --jobs 2 --out sweeps/exact
  mamrl sweep mine.toml --index $SLURM_ARRAY_TASK_ID --of 20 --out sweeps/mine
"""


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "sweep",
        help="train and meta-test a grid of experiments with several seeds",
        description="Trains every combination of the grid's fields with every seed, meta-tests each run, and prints "
        "one table: intervals over seeds, and differences from the first combination paired by seed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sweep", metavar="PRESET", help="a named experiment, or a TOML file")
    parser.add_argument("--out", required=True, help="the sweep's folder")
    parser.add_argument("--seeds", help="such as 0-9 or 0,3,5-7 (default 0)")
    parser.add_argument("--grid", nargs="+", default=[], metavar="FIELD=A,B", help="what to vary")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of every run")
    parser.add_argument("--jobs", type=int, help="processes at once (default: the cores that this process may use)")
    parser.add_argument("--index", type=int, default=0, help="which share to do, from 0 (default 0)")
    parser.add_argument("--of", type=int, default=1, help="how many shares there are (default 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the share, and prints the table once every run is finished."""
    import os
    from pathlib import Path

    from mamrl.checkpoint import write_text
    from mamrl.config import parse_assignments
    from mamrl.experiments import sweep as sweeps

    if args.sweep.endswith(".toml"):
        if args.seeds or args.grid or args.set:
            raise ValueError("a TOML file says everything, expected no --seeds, --grid or --set beside it")
        sweep = sweeps.read_sweep(Path(args.sweep))
    else:
        cells, seeds = sweeps.parse_grid(args.grid), sweeps.parse_seeds(args.seeds or "0")
        sweep = sweeps.Sweep(args.sweep, cells, seeds, parse_assignments(args.set))
    jobs = len(os.sched_getaffinity(0)) if args.jobs is None else args.jobs
    folder = Path(args.out)
    sweeps.run_sweep(sweep, folder, jobs=jobs, index=args.index, of=args.of)
    done, total = sweeps.finished(sweep, folder)
    if done < total:
        print(f"{folder}: {done} of {total} runs are finished; the table comes with the last")
        return 0
    rows = sweeps.table(sweep, folder)
    write_text(folder / sweeps.TABLE, sweeps.table_csv(rows))
    print(sweeps.table_text(rows, len(sweep.seeds)))
    return 0
