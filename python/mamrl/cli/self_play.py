"""``mamrl self-play``: train a shaper in games with its past selves."""

from __future__ import annotations

import argparse
from typing import Any

_EPILOG = """\
Any field of the experiment can be set: --set actor_lr=1e-3 --set grid=5. 'mamrl self-play --list' prints the presets,
'mamrl self-play PRESET --show' all fields of one. Ctrl-C saves, as a SIGTERM does; 'mamrl self-play --resume --out RUN'
continues bit for bit, and 'mamrl self-play --score --out RUN' measures what is there.

examples:
  mamrl self-play loqa-coin --seed 1 --out runs/loqa                 LOQA's coin game, about half an hour a seed
  mamrl self-play advantage-alignment-coin --out runs/aa             Advantage Alignment in the same game
  mamrl self-play loqa-coin --set grid=5 --out runs/loqa-5           a larger grid
  mamrl self-play loqa-ipd --out runs/loqa-ipd                       the iterated prisoner's dilemma, a table
"""


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "self-play",
        help="train a shaper in games with its past selves",
        description="Trains LOQA, Advantage Alignment or plain actor-critic in games with the agent's past selves.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("preset", nargs="?", help="a named experiment, see --list")
    parser.add_argument("--seed", type=int, help="of everything random (default 0, or a resumed run's own)")
    parser.add_argument("--out", help="run folder: checkpoint and log")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out, which needs no preset")
    parser.add_argument("--score", action="store_true", help="measure the run in --out instead of training")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="set any field")
    parser.add_argument("--threads", type=int, help="torch threads")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--list", action="store_true", help="print the presets")
    parser.add_argument("--show", action="store_true", help="print the experiment instead of training")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains or measures, and prints how the agent does beside itself and beside fixed players."""
    from pathlib import Path

    from mamrl.config import parse_assignments
    from mamrl.config.self_play import SelfPlayExperiment
    from mamrl.device import set_threads
    from mamrl.errors import choose
    from mamrl.experiments.self_play import SELF_PLAY_PRESETS
    from mamrl.training.self_play import load_self_play, read_self_play, train_self_play

    if args.list:
        for name, known in SELF_PLAY_PRESETS.items():
            print(f"{name:32} {known.shaper} in {known.stepped_game().name}, {known.updates} updates")
        return 0
    if args.threads is not None:
        set_threads(args.threads)
    fields = parse_assignments(args.set, SelfPlayExperiment.field_types())
    if args.score:
        if not args.out:
            raise ValueError("--score needs a run folder: --out runs/NAME")
        trained = load_self_play(args.out)
    else:
        if args.preset is not None:
            start = SELF_PLAY_PRESETS[choose("preset", args.preset, SELF_PLAY_PRESETS)]
        elif args.resume and args.out:
            start, _ = read_self_play(Path(args.out))
        else:
            raise ValueError(
                f"self-play needs a preset, or --resume and --out; presets are {', '.join(SELF_PLAY_PRESETS)}"
            )
        experiment = start.replace(**fields)
        if args.show:
            for name, value in experiment.to_dict().items():
                print(f"{name:22} {value}")
            return 0
        if not args.out:
            raise ValueError("self-play needs a run folder: --out runs/NAME")
        trained = train_self_play(experiment, seed=args.seed, out=args.out, resume=args.resume, progress=not args.quiet)
    print(repr(trained))
    for name, value in trained.test().items():
        print(f"  {name:20} {value:+.4f}")
    return 0
