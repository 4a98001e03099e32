"""The fuzzers for as long as one likes: ``python tests/fuzz/long.py --minutes 10 --seed 1``.

Prints counts (those in docs/robustness.md); ends with status 1 where anything was wrong, each kind of which is printed
once with what made it.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import faces
from odd import GOOD, odd_call, odd_command


def main() -> int:
    """Fuzzes, and prints what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="half of them for functions, half for commands")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    draw, wrong = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        faces.fresh_folder(folder)
        for what, attempt in (("functions", odd_call), ("commands", odd_command)):
            counts: collections.Counter[str] = collections.Counter()
            seen: set[tuple[str, str]] = set()
            until = time.monotonic() + 30 * args.minutes
            while time.monotonic() < until:
                # where a signal does not reach
                faulthandler.dump_traceback_later(5 * faces.PATIENCE, exit=True)
                name, outcome, made_by = attempt(draw)
                counts[outcome if outcome in GOOD else "wrong"] += 1
                kind = (name, outcome.partition(":")[0])
                if outcome not in GOOD and kind not in seen:
                    seen.add(kind)
                    print(f"WRONG {name}: {outcome[:300]}\n      {made_by}", flush=True)
            faulthandler.cancel_dump_traceback_later()
            wrong += counts["wrong"]
            print(
                f"{what}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())), flush=True
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
