"""``mamrl crossplay``: trained agents against each other, classic strategies and best-responding learners."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "crossplay",
        help="play trained agents against each other and against classic strategies",
        description="Plays every agent against every other and against classic strategies (tit-for-tat, ...), "
        "nobody learning, and each agent against a learner that best-responds to it. Writes crossplay.csv, "
        "crossplay.png and best_response.csv, and prints both tables.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, all of one symmetric two-player game")
    parser.add_argument("--out", type=Path, default=Path("runs/crossplay"), help="folder (default runs/crossplay)")
    parser.add_argument("--trajectories", type=int, default=256, help="played by each pair (default 256)")
    parser.add_argument("--horizon", type=int, default=150, help="steps of each (default 150)")
    parser.add_argument("--response-steps", type=int, default=200, help="of each best response (default 200; 0: none)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampled actions (default 0)")
    parser.add_argument("--last", action="store_true", help="the last checkpoints instead of the best")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plays, prints and writes."""
    from mamrl.evaluation.crossplay import best_responses, cross_play, entrants_of
    from mamrl.plotting import plot_crossplay
    from mamrl.training.runs import load_run

    for name, least in (("trajectories", 1), ("horizon", 1), ("response_steps", 0)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(args, name)}, expected at least {least}")
    game, entrants = entrants_of([load_run(folder, "last" if args.last else "best") for folder in args.runs])
    rewards = cross_play(game, entrants, num_trajectories=args.trajectories, horizon=args.horizon, seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    names = [entrant.name for entrant in entrants]
    pairs = [(a, b, *rewards[i, j].tolist()) for i, a in enumerate(names) for j, b in enumerate(names)]
    _write(args.out / "crossplay.csv", ["player_1", "player_2", "reward_1", "reward_2"], pairs)
    plot_crossplay(names, rewards, args.out / "crossplay.png")
    width = max(map(len, names)) + 2
    print("mean reward a step of the row's agent against the column's\n")
    print(" " * width + " ".join(f"{j:>6}" for j in range(len(names))))
    for i, name in enumerate(names):
        print(f"{f'{i} {name}':<{width}}" + " ".join(f"{rewards[i, j, 0]:+6.2f}" for j in range(len(names))))
    if args.response_steps:
        responses = best_responses(game, entrants, steps=args.response_steps, horizon=args.horizon, seed=args.seed)
        rows = [(name, response.kept, response.gained) for name, response in zip(names, responses, strict=True)]
        _write(args.out / "best_response.csv", ["agent", "kept", "gained"], rows)
        print("\nagainst a learner that best-responds: what the agent keeps, what the learner gains\n")
        print("\n".join(f"{name:<{width}}{kept:+6.2f} {gained:+6.2f}" for name, kept, gained in rows))
    print(f"\nwrote {args.out}")
    return 0


def _write(path: Path, header: list[str], rows: list[tuple]) -> None:
    from mamrl.checkpoint import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{cell:.5f}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    write_text(path, text.getvalue())
