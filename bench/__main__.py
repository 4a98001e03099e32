"""``python -m bench``: every benchmark of this folder, and one table of times, ratios and targets.

A file ``bench_<op>.py`` holds one op's: ``test_mamrl`` is what the library does, ``test_mamrl_*`` other ways to call
it, ``test_rival_*`` what others do, all in one pytest-benchmark group. Targets and ratios are of medians in this run;
the shortest round beside them says how much of a median is a busy machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """What is asked of a group: a time on one otherwise idle core of the reference machine (AVX-512, 175 to 195
    GFLOP/s in float32), a ratio to one rival in the same run on any machine, or both."""

    seconds: float | None = None
    ratio: float | None = None
    rival: str = ""

    def text(self) -> str:
        parts = [f"{self.ratio:g} x {self.rival}"] if self.ratio else []
        parts += [f"<= {_time(self.seconds)}"] if self.seconds else []
        return ", ".join(parts)

    def met(self, ours: float, rivals: dict[str, float]) -> str:
        """An answer for each part of ``text``, in its order."""
        parts = [rivals.get(self.rival, 0.0) >= self.ratio * ours] if self.ratio else []
        parts += [ours <= self.seconds] if self.seconds else []
        return ", ".join("yes" if part else "no" for part in parts)


# ratios: what the rival took on the reference machine over the time asked
TARGETS = {
    "gae [150, 64]": Target(9e-6, 63, "torch_loop"),
    "gae [150, 4096]": Target(0.35e-3, 4.9, "torch_loop"),
    "linear_baseline 64 x 150 x 5": Target(0.05e-3, 11, "numpy"),
    "linear_baseline 64 x 150 x 17": Target(0.20e-3, 5.5, "numpy"),
    "DiCE value, gradient, HVP [150, 64]": Target(ratio=20, rival="autograd_of_magic_boxes"),
    "rollout LSTM(64) actor, critic, K=64 H=150": Target(4.8e-3, 4.4, "eager"),
    "rollout LSTM(64) actor, critic, K=4096 H=150": Target(0.31, 3.4, "eager"),
    "IPD, 150 steps a call, 1024 environments": Target(1024 * 150 / 1.2e9),
    "IPD, one step a call, 16384 environments": Target(16384 / 300e6),
    "coin game, positions, 50 steps of 512": Target(512 * 50 / 100e6, 50, "eager"),
    "coin game, planes, 50 steps of 512": Target(ratio=0.5, rival="zeros"),
    "meta-iteration IPD K=64 H=150 L=7": Target(0.30, 4.5, "expert_pytorch"),
}


def measure(names: list[str], markers: str, threads: int, json_path: Path) -> int:
    files = [str(HERE / f"bench_{name}.py") for name in names] or [str(HERE)]
    return pytest.main(
        [
            *files,
            *("-q", "--no-header", "-p", "no:warnings", "-m", markers),
            *("-o", "addopts=--strict-markers", "-o", "python_files=bench_*.py"),
            *("--benchmark-warmup=on", "--benchmark-max-time=0.5", "--benchmark-quiet"),
            *(f"--threads={threads}", f"--benchmark-json={json_path}"),
        ]
    )


def table(results: dict[str, Any], threads: int) -> str:
    """Times asked are of one thread; ratios, of rivals with as many."""
    groups: dict[str, dict[str, float]] = {}
    shortest: dict[tuple[str, str], float] = {}
    for entry in results["benchmarks"]:
        name, group = _way(entry["name"]), entry["group"] or entry["name"]
        groups.setdefault(group, {})[name] = entry["stats"]["median"]
        shortest[group, name] = entry["stats"]["min"]
    rows = [("op", "way", "median", "shortest", "to ours", "target", "met")]
    for group, times in groups.items():
        ours = times.get("mamrl")
        rivals = {name.removeprefix("rival_"): time for name, time in times.items() if name.startswith("rival_")}
        target = TARGETS.get(group)
        if target and threads > 1:
            target = replace(target, seconds=None) if target.ratio else None
        label = group
        for name, time in times.items():
            wanted = target if name == "mamrl" else None
            rows.append(
                (
                    label,
                    name.removeprefix("rival_"),
                    _time(time),
                    _time(shortest[group, name]),
                    f"{time / ours:.1f}" if ours and name != "mamrl" else "",
                    wanted.text() if wanted else "",
                    wanted.met(time, rivals) if wanted else "",
                )
            )
            label = ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * sum(widths, 2 * (len(widths) - 1)), *lines[1:]])


def _way(test: str) -> str:
    """What a test measures: its name, or, where it does not say, its parameter."""
    name, _, parameter = test.removeprefix("test_").partition("[")
    return name if name.startswith(("mamrl", "rival_")) or not parameter else parameter.removesuffix("]")


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="what to measure, such as gae or dice (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="of torch and NumPy (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep pytest-benchmark's results in FILE")
    parser.add_argument("--slow", action="store_true", help="also what takes longer than ten seconds a round")
    parser.add_argument("--gpu", action="store_true", help="also what needs a CUDA device")
    arguments = parser.parse_args()
    for name in arguments.names:
        if not (HERE / f"bench_{name}.py").exists():
            known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
            parser.error(f"there is no benchmark '{name}', expected one of {', '.join(known)}")

    if arguments.threads < 1:
        parser.error(f"--threads is {arguments.threads}, expected at least 1")
    # read when NumPy is loaded: its products would else take every core
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(arguments.threads))
    wanted = [marker for marker, chosen in (("slow", arguments.slow), ("gpu", arguments.gpu)) if not chosen]
    with tempfile.TemporaryDirectory() as folder:
        json_path = arguments.json or Path(folder) / "bench.json"
        markers = " and ".join(f"not {marker}" for marker in wanted)
        status = measure(arguments.names, markers, arguments.threads, json_path)
        if not json_path.exists() or not json_path.stat().st_size:
            return status or 1
        print(table(json.loads(json_path.read_text()), arguments.threads))
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > arguments.threads + 0.5:
        print(f"The machine is busy (load {load:.1f} on {cores} cores): times are too long, ratios less wrong.")
    return status


if __name__ == "__main__":
    sys.exit(main())
