"""``mamrl render``: a GIF of an adapted HalfCheetah pair."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Adds the command to the parser."""
    parser = subparsers.add_parser(
        "render",
        help="draw an adapted HalfCheetah pair to a GIF",
        description="Lets the agent of a HalfCheetah run adapt beside one test teammate, plays the pair it ends with, "
        "and draws it with MuJoCo's offscreen renderer (EGL or OSMesa; MUJOCO_GL chooses).",
    )
    parser.add_argument("folder", metavar="RUN", help="run folder of 'mamrl train half-cheetah'")
    parser.add_argument("--out", help="the GIF (default RUN/adapted.gif)")
    parser.add_argument("--persona", type=int, default=0, help="which test teammate (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the rollouts (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draws, and says where."""
    from pathlib import Path

    from mamrl.render import adapted_pair, draw, rollout_positions, save_gif
    from mamrl.training.runs import load_run

    trained = load_run(args.folder)
    pair = adapted_pair(trained, args.persona, args.seed)
    positions = rollout_positions(trained, pair, args.seed)
    out = Path(args.out) if args.out else Path(args.folder) / "adapted.gif"
    save_gif(draw(positions), out)
    print(f"{out}: {len(positions)} steps, {positions[-1, 0]:+.2f} m along x")
    return 0
