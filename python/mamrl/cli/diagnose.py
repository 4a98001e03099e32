"""``mamrl diagnose``: how good a run's meta-gradient is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "diagnose",
        help="how good a run's meta-gradient is",
        description="Samples the meta-gradient of a trained agent several times against the same persona and compares: "
        "the norms and the mean cosine of independent samples (1: a perfect estimate, 0: noise), how much the chain "
        "amplifies a gradient on its way back to phi_0 (the largest singular value of d phi_L / d phi_0), the largest "
        "inner gradient, and the shares of the current policy's, own learning's and peers' learning terms. Written "
        "to RUN/diagnosis.csv and RUN/diagnosis.png. An LSTM takes a minute or two, a table seconds.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--samples", type=int, default=6, help="independent samples of each chain (default 6)")
    parser.add_argument("--personas", type=int, default=2, help="personas of each kind (default 2)")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="validation", help="which personas")
    parser.add_argument("--seed", type=int, default=0, help="of the sampled trajectories (default 0)")
    parser.add_argument("--last", action="store_true", help="the last checkpoint instead of the best")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Diagnoses each run; prints a table and writes a CSV file and a figure beside it."""
    from mamrl.checkpoint import write_text
    from mamrl.evaluation.diagnosis import diagnose
    from mamrl.plotting import plot_diagnosis
    from mamrl.training.runs import load_run

    for folder in args.runs:
        trained = load_run(folder, "last" if args.last else "best")
        result = diagnose(
            trained.setting,
            trained.parameters,
            trained.own_lr,
            samples=args.samples,
            personas=args.personas,
            split=args.split,
            seed=args.seed,
        )
        experiment = trained.setting.experiment
        print(f"{folder}: {experiment.algorithm}, {experiment.agent}, iteration {trained.iteration}")
        print(result.table() + "\n")
        write_text(Path(folder) / "diagnosis.csv", result.csv())
        plot_diagnosis(result, Path(folder) / "diagnosis.png")
    return 0
