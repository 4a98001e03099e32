"""``mamrl population``: pre-train the peers of an experiment."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "population",
        help="pre-train a population of HalfCheetah teammates",
        description="Trains a pair to run left and keeps a checkpoint each iteration: peers that a meta-agent meets. "
        "Draws the distribution of their expertise to OUT/expertise.png. Ctrl-C stops; --resume continues bit for bit.",
    )
    parser.add_argument("game", choices=["half-cheetah"], help="whose population")
    parser.add_argument("--out", required=True, help="folder of the population")
    parser.add_argument("--iterations", type=int, default=500, help="as many checkpoints (default 500)")
    parser.add_argument("--trajectories", type=int, default=32, help="rollouts an iteration (default 32)")
    parser.add_argument("--horizon", type=int, default=200, help="steps of a rollout (default 200)")
    parser.add_argument("--lr", type=float, default=1e-3, help="Adam's learning rate (default 1e-3)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--resume", action="store_true", help="continue the population in --out")
    parser.add_argument("--pack", metavar="FILE", help="also write about 30 of the checkpoints to one small file")
    parser.add_argument("--threads", type=int, help="torch threads (results do not depend on it)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains, draws, and prints what the splits hold."""
    from mamrl.device import set_threads
    from mamrl.plotting import plot_teammates
    from mamrl.populations.teammates import PreTraining, load_teammates, pack, pretrain

    if args.threads is not None:
        set_threads(args.threads)
    settings = PreTraining(
        iterations=args.iterations,
        num_trajectories=args.trajectories,
        horizon=args.horizon,
        lr=args.lr,
        seed=args.seed,
    )
    folder = pretrain(settings, args.out, resume=args.resume, progress=not args.quiet)
    teammates = load_teammates(folder)
    for split in ("train", "validation", "test"):
        members = teammates.members(split)
        if members:
            expertise, iterations = teammates.expertise[members], teammates.iterations[members]
            print(
                f"{split:10} {len(members):4} checkpoints, iterations {int(iterations.min())} to "
                f"{int(iterations.max())}, reward a step {float(expertise.min()):+.4f} to {float(expertise.max()):+.4f}"
            )
    try:
        plot_teammates(teammates, folder / "expertise.png")
        print(f"expertise: {folder / 'expertise.png'}")
    except ImportError as error:
        print(f"no figure: {error}")
    if args.pack:
        pack(teammates, args.pack)
        print(f"packed: {args.pack}")
    return 0
