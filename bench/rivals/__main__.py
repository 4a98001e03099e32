"""``python -m bench.rivals [TOPIC...]``: other people's libraries beside this one, the same work on the same cores.

Every topic is a file of this folder with a function ``contests``, of what is timed in turns, or ``results``, of what
is trained once. It is measured in a process of its own, on one core, and writes its rows to a CSV file; the page is
written from whatever CSV files there are. What is not installed, or fails, is left out with the reason.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.rivals import contest, page

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results" / "rivals"
# in the order of the page
TOPICS = (
    "matrix_game",
    "coin_game",
    "half_cheetah",
    "gae",
    "baseline",
    "lola_dice",
    "meta_gradient",
    "to_the_result",
)


# read when the libraries are loaded
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}


def measure(topic: str, out: Path) -> None:
    """All contests of a topic, in this process, which keeps to one core from here on."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import torch

    torch.set_num_threads(1)
    module = importlib.import_module(f"bench.rivals.{topic}")
    rows: list[contest.Row] = []
    for each in module.contests() if hasattr(module, "contests") else ():
        print(f"  {each.work}", flush=True)
        rows += contest.run(each, lambda text: print(text, flush=True))
    for row in module.results() if hasattr(module, "results") else ():
        print(f"  {row.work}: {row.way}, {page.seconds(row.median)}, {row.checked}", flush=True)
        rows.append(row)
    page.write_rows(out / f"{topic}.csv", rows)


def in_a_process(topic: str, out: Path) -> int:
    """Measures a topic in a process of its own, whose warnings go to a file; returns its exit status."""
    log = ROOT / "build" / "rivals" / f"{topic}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench.rivals", topic, "--in-this-process", "--out", str(out)]
    with log.open("w") as errors:
        status = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stderr=errors).returncode
    if status:
        print(f"{topic} failed, {log}:\n{log.read_text()[-2000:]}", flush=True)
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.rivals", description=__doc__.split("\n")[0])
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)} (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the CSV files (default: %(default)s)")
    parser.add_argument(
        "--page-only", action="store_true", help="write docs/rivals.md from the CSV files, measure nothing"
    )
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = [topic for topic in arguments.topics if topic not in TOPICS]
    if unknown:
        parser.error(f"there is no topic '{unknown[0]}', expected one of {', '.join(TOPICS)}")
    if arguments.in_this_process:
        measure(arguments.topics[0], arguments.out)
        return 0
    failed = []
    if not arguments.page_only:
        for topic in arguments.topics or TOPICS:
            print(topic, flush=True)
            started = time.perf_counter()
            if in_a_process(topic, arguments.out):
                failed.append(topic)
            print(f"{topic}: {time.perf_counter() - started:.0f} s", flush=True)
        page.write_machine(arguments.out / "machine.csv")
    rows = page.read_rows(arguments.out, TOPICS)
    print(page.text_table([row for row in rows if row.topic in (arguments.topics or TOPICS)]))
    if arguments.out == RESULTS:
        page.write_page(ROOT / "docs" / "rivals.md", rows, page.read_machine(arguments.out / "machine.csv"))
    if failed:
        print(f"not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
