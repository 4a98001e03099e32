"""``python -m bench.scaling``: time per environment step as a meta-iteration grows along one axis at a time.

An environment step is one joint action of one trajectory at one position of one chain. Every row is the median of a few
iterations, and its ratio is to the row of the usual size on the same axis.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mamrl.checkpoint import write_text
from mamrl.config.setting import build
from mamrl.experiments import preset
from mamrl.training.learner import Learner

# Meta-MAPG with the papers' LSTM actor and critic, one chain
USUAL = {"chains": 1, "num_trajectories": 64, "horizon": 150, "hidden_size": 64}
# (axis, sizes, the usual one, what else is changed)
SWEEPS: Sequence[tuple[str, Sequence[int], int, dict[str, str]]] = (
    ("chains", (1, 4, 16, 64), 1, {}),
    ("num_trajectories", (4, 16, 64, 256, 1024), 64, {}),
    ("horizon", (10, 50, 150, 400, 1000), 150, {}),
    ("hidden_size", (16, 32, 64, 128, 256), 64, {}),
    # 1 + 3^n states, and every peer learns
    ("num_players", (2, 3, 4), 2, {"game": "rps"}),
)
CHAIN_LENGTH = 2


def iteration_time(rounds: int, **changes: Any) -> tuple[float, int]:
    """Median seconds of a meta-iteration, and the environment steps in it."""
    experiment = preset("ipd-paper").replace(**{"pcgrad": False, "chain_length": CHAIN_LENGTH, **USUAL, **changes})
    learner = Learner(build(experiment), seed=0)
    learner.step()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        learner.step()
        times.append(time.perf_counter() - started)
    steps = experiment.chains * (CHAIN_LENGTH + 1) * experiment.num_trajectories * experiment.horizon
    return statistics.median(times), steps


def sweep(rounds: int) -> list[tuple[str, int, float, float, float]]:
    """(axis, size, seconds, nanoseconds per environment step, ratio to the usual size)."""
    rows = []
    for axis, sizes, usual, changes in SWEEPS:
        timed = {size: iteration_time(rounds, **changes, **{axis: size}) for size in sizes}
        each = {size: 1e9 * seconds / steps for size, (seconds, steps) in timed.items()}
        for size, (seconds, _) in timed.items():
            rows.append((axis, size, seconds, each[size], each[size] / each[usual]))
            print("{:>16} {:>5} {:9.4f} s {:9.1f} ns a step {:6.2f}".format(*rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="iterations a size (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table to FILE")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = sweep(arguments.rounds)
    if arguments.csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["axis", "size", "seconds", "nanoseconds_per_step", "ratio"])
        writer.writerows([f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in rows)
        write_text(arguments.csv, text.getvalue())


if __name__ == "__main__":
    main()
