"""``mamrl train``: meta-train an agent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mamrl.config import Experiment

_EPILOG = """\
Any field of the experiment can be set: --set actor_lr=1e-3 --set chains=8. The command line wins over a --config file,
and that over the preset. 'mamrl train --list' prints the presets, 'mamrl train PRESET --show' all fields of one.
Ctrl-C saves, as a SIGTERM does; 'mamrl train --resume --out RUN' continues bit for bit.

Started by torchrun, its processes share the chains, and the numbers are the same (docs/scaling.md).

examples:
  mamrl train ipd-exact --out runs/exact                      exact values, tabular, half a minute
  mamrl train ipd-tabular --algorithm meta-pg --out runs/pg   sampled, tabular, about two minutes
  mamrl train ipd --seed 1 --out runs/lstm                    the papers' LSTM with the library's best estimator
  mamrl train ipd-paper --out runs/paper                      the published implementation's settings
  mamrl train --config runs/lstm --seed 2 --out runs/lstm-2   an earlier run's settings, another seed
  mamrl train --resume --out runs/lstm                        go on where it stopped
"""


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "train",
        help="meta-train an agent",
        description="Meta-trains an agent against peers that learn, and keeps the best on the validation personas.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("preset", nargs="?", help="a named experiment, see --list")
    parser.add_argument("--config", metavar="FILE", help="fields in a .toml or .json file, or an earlier run's folder")
    parser.add_argument(
        "--algorithm", help="meta-mapg, meta-pg, meta-mapg-without-own, meta-mapg-without-peer, reinforce or lola-dice"
    )
    parser.add_argument("--estimator", help="published, expected or sampled; docs/estimators.md explains them")
    parser.add_argument("--iterations", type=int, help="meta-gradient steps")
    parser.add_argument("--seed", type=int, help="of everything random (default 0, or a resumed run's own)")
    parser.add_argument("--out", help="run folder: checkpoints, logs, TensorBoard events")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where mamrl was built with it (default cpu)")
    parser.add_argument("--no-graph", action="store_true", help="on a GPU, do not replay iterations as a CUDA graph")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out, which needs no preset")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="set any field")
    parser.add_argument("--threads", type=int, help="torch threads (results do not depend on it)")
    parser.add_argument(
        "--log",
        action="append",
        choices=("tensorboard", "wandb", "none"),
        help="where numbers go besides RUN/log.jsonl (default tensorboard, where it is installed)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--list", action="store_true", help="print the presets")
    parser.add_argument("--show", action="store_true", help="print the experiment instead of training")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains, and prints where the run is and how it validated."""
    from mamrl.device import set_threads
    from mamrl.distributed import joined
    from mamrl.experiments import PRESETS
    from mamrl.training import train
    from mamrl.training.loggers import named_loggers

    if args.list:
        for name, known in PRESETS.items():
            print(f"{name:14} {known.game}, {known.agent} agent, {known.algorithm}, {known.estimator} estimator")
        return 0
    experiment, seed = _experiment(args)
    if args.show:
        for name, value in experiment.to_dict().items():
            print(f"{name:22} {value}")
        return 0
    if not args.out:
        raise ValueError("train needs a run folder: --out runs/NAME")
    if args.threads is not None:
        set_threads(args.threads)
    with joined() as ranks:
        trained = train(
            experiment,
            seed=seed,
            device=ranks.device(args.device),
            out=args.out,
            resume=args.resume,
            progress=not args.quiet,
            tensorboard=False,
            callbacks=named_loggers(args.log) if ranks.first else (),
            capture=not args.no_graph,
            ranks=ranks,
        )
    if not ranks.first:
        return 0
    auc = trained.validation_auc
    print(f"{args.out}: best validation AUC {auc:+.3f} at iteration {trained.iteration}; next: mamrl test {args.out}")
    return 0


def _experiment(args: argparse.Namespace) -> tuple[Experiment, int]:
    """The experiment and the seed that the command line asks for: preset, file, options, in this order."""
    from mamrl.config import Experiment, parse_assignments
    from mamrl.config.files import ConfigFile, read_config
    from mamrl.experiments import PRESETS, preset
    from mamrl.training.runs import read_experiment

    file = ConfigFile() if args.config is None else read_config(args.config)
    name, seed = args.preset or file.preset, file.seed
    if name is not None:
        start = preset(name)
    elif args.config is not None:
        start = Experiment()
    elif args.resume and args.out:
        start, seed = read_experiment(Path(args.out))
    else:
        raise ValueError(f"train needs a preset, a --config, or --resume and --out; presets are {', '.join(PRESETS)}")
    options = {name: getattr(args, name) for name in ("algorithm", "estimator", "iterations")}
    fields = {**parse_assignments(args.set), **{name: value for name, value in options.items() if value is not None}}
    return start.replace(**{**file.fields, **fields}), args.seed if args.seed is not None else seed or 0
