"""``mamrl demo``: the whole story in a few minutes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mamrl.config.setting import Setting

# the preset ipd-exact trained to its end, docs/results/demo
HIGHEST_OF_EXACT_TABLES = 5.27
# the tabular chain with exact values, then the same sampled by the kernels
RUNS = (
    ("ipd-exact", "meta-mapg"),
    ("ipd-exact", "meta-pg"),
    ("ipd-tabular", "meta-mapg"),
    ("ipd-tabular", "meta-pg"),
)


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "demo",
        help="train Meta-MAPG and Meta-PG, meta-test them, show a table and a figure",
        description="Trains Meta-MAPG and Meta-PG in the iterated prisoner's dilemma, first on the exact tabular "
        "chain, then on trajectories sampled by the kernels; meta-tests them on the 40 test personas; prints one table "
        "and writes one figure.",
    )
    parser.add_argument("--out", default="runs/demo", help="folder of the runs and the figure (default runs/demo)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Trains what is not there yet, tests, prints and plots."""
    from mamrl.evaluation import confidence_interval
    from mamrl.experiments import preset
    from mamrl.plotting import curve_label, plot_adaptation
    from mamrl.training import train

    tests = []
    for name, algorithm in RUNS:
        folder = Path(args.out) / f"{name}-{algorithm}-seed{args.seed}"
        experiment = preset(name).replace(algorithm=algorithm)
        print(f"\n{folder}")
        trained = train(experiment, seed=args.seed, out=folder, resume=folder.exists())
        tests.append((trained, trained.test()))
    figure = Path(args.out) / "adaptation.png"
    plot_adaptation(tests, figure)
    print("\nAUC on the 40 test personas, with its 95% interval over personas\n")
    print(f"{'':28}{'all peers':>18}" + "".join(f"{name:>18}" for name in tests[0][1].group_names))
    for trained, test in tests:
        cells = [test.auc] + [test.auc[test.groups == g] for g in range(len(test.group_names))]
        texts = ["{:+.2f} ± {:.2f}".format(*confidence_interval(cell)) for cell in cells]
        print(f"{curve_label(trained):28}" + "".join(f"{text:>18}" for text in texts))
    print("\n" + meaning(tests[0][0].setting))
    print(f"\nfigure: {figure}")
    return 0


def meaning(setting: Setting) -> str:
    """What an AUC means, in sentences."""
    from mamrl.games.base import payoffs_of

    positions, payoffs = setting.experiment.chain_length, payoffs_of(setting.game)[0]
    cooperation, defection = (positions * float(payoffs[action, action]) for action in (0, 1))
    return (
        f"The AUC sums the mean reward a step over the {positions} positions at which both have learnt: higher is "
        f"better.\nTwo that always defect earn {defection:+.2f} each, two that always cooperate {cooperation:+.2f}; "
        f"the highest that an exact table has reached here is {HIGHEST_OF_EXACT_TABLES:+.2f}."
    )
