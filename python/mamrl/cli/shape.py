"""``mamrl shape``: one's own questions about learning rules in games with exact values."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "shape",
        help="let learning rules play each other where values are exact",
        description="Learns many pairs of policies side by side, one rule a player, and prints both players' values; "
        "for the iterated 2x2 games also the share of tit-for-tat and what a best response leaves of player 1's value.",
        epilog="Example: mamrl shape ipd --rules lola-taylor naive --step-size 25 --extrapolation 25 --pairs 1024",
    )
    parser.add_argument("game", help="ipd, matching-pennies, chicken, stag-hunt, logistic, tandem or zero-sum")
    parser.add_argument(
        "--rules",
        nargs="+",
        default=["naive"],
        metavar="RULE",
        help="one for both, or one a player: naive (default), lookahead, lola, lola-taylor, hola, sos, consensus or "
        "symplectic",
    )
    parser.add_argument("--pairs", type=int, default=256, help="pairs of policies from N(0, 1) (default 256)")
    parser.add_argument("--steps", type=int, default=300, help="of learning (default 300)")
    parser.add_argument("--step-size", type=float, default=1.0, help="of each step (default 1)")
    parser.add_argument("--extrapolation", type=float, default=1.0, help="that rules imagine of the other (default 1)")
    parser.add_argument("--order", type=int, default=2, help="of HOLA (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the policies (default 0)")
    parser.add_argument("--out", type=Path, help="a CSV of the values after every step")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Learns and prints."""
    import torch
    from torch import Tensor

    from mamrl.checkpoint import write_text
    from mamrl.evaluation.learning_rules import exploit, plays_tit_for_tat
    from mamrl.evaluation.statistics import confidence_interval
    from mamrl.progress import progress_bar
    from mamrl.shaping.learning import learn, mixed
    from mamrl.shaping.named import named_game, named_rule

    game = named_game(args.game)
    if len(args.rules) not in (1, game.num_players):
        raise ValueError(f"--rules takes one rule for all or one for each of {game.num_players} players")
    if args.pairs < 2:
        raise ValueError(f"--pairs must be at least 2, but {args.pairs} was given")
    if args.out is not None and (args.out.is_dir() or not args.out.resolve().parent.is_dir()):
        raise ValueError(f"--out is {args.out}, expected a file in a folder that is there")
    rules = [named_rule(name, extrapolation=args.extrapolation, order=args.order) for name in args.rules]
    generator = torch.Generator().manual_seed(args.seed)
    start = [torch.randn(args.pairs, size, generator=generator) for size in game.sizes]
    means: list[list[float]] = []
    with progress_bar(total=args.steps, desc=" against ".join(args.rules)) as bar:

        def watch(step: int, x: Any) -> None:
            if args.out is not None:
                means.append(game.values(x).mean(-1).tolist())
            bar.update(step - bar.n)

        ends = learn(
            game,
            start,
            rules[0] if len(rules) == 1 else mixed(rules),
            steps=args.steps,
            step_size=args.step_size,
            watch=watch,
        )
    values: Tensor = game.values(ends)
    for player, value in enumerate(values):
        mean, half = confidence_interval(value)
        line = f"player {player + 1}, {args.rules[player % len(args.rules)]}: {mean:.4f} ± {half:.4f}"
        if game.sizes == (5, 5):
            line += f", tit-for-tat {plays_tit_for_tat(ends[player]).float().mean():.1%}"
        print(line)
    if game.sizes == (5, 5):
        response = exploit(game, ends, start=start[1])
        kept, gained = response.kept.mean(), response.gained.mean()
        print(f"against a best response player 1 keeps {kept:.4f}; the response gains {gained:.4f}")
    if args.out is not None:
        lines = [",".join(["step", *(f"value_{p + 1}" for p in range(game.num_players))])]
        lines += [",".join([str(step), *(f"{v:.6g}" for v in row)]) for step, row in enumerate(means)]
        write_text(args.out, "\n".join(lines) + "\n")
        print(f"wrote {args.out}")
    return 0
