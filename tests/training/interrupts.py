"""Trainings that are interrupted at random moments, over and over, until they end: each must end as if left alone.

``python tests/training/interrupts.py --trials 200`` counts so many interrupts of each signal on each kind of training.
``python tests/training/interrupts.py --disk`` fills disks, makes folders read-only and takes them away (as root, on
Linux: it mounts small file systems). Both print a table for docs/robustness.md and end with status 1 where something
differed.

Everything is imported once; every training is then a fork.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mamrl import checkpoint
from mamrl.config import Experiment
from mamrl.config.self_play import SelfPlayExperiment
from mamrl.training import train
from mamrl.training.runs import LAST, LOG
from mamrl.training.self_play import train_self_play

TABLE = Experiment(
    agent="tabular",
    critic="linear",
    num_trajectories=4,
    horizon=10,
    chain_length=2,
    chains=2,
    iterations=12,
    validation_every=3,
    actor_lr=0.05,
    own_lr_lr=0.05,
)
KINDS: dict[str, Experiment | SelfPlayExperiment] = {
    "table": TABLE.replace(averaging=0.5),
    "exact": TABLE.replace(agent="tabular-exact"),
    "LSTM": TABLE.replace(agent="lstm", hidden_size=8),
    "LSTM with critic": TABLE.replace(agent="lstm", hidden_size=8, critic="lstm"),
    "HalfCheetah": TABLE.replace(game="half-cheetah", agent="lstm", hidden_size=8, iterations=6, validation_every=2),
    "LOQA in the coin game": SelfPlayExperiment(
        batch=16, horizon=10, opponents=4, push_every=2, hidden_size=8, critic_size=8, updates=40, validation_every=10
    ),
}
SIGNALS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
# of a checkpoint; everything that a training goes on from
STATE = ("parameters", "own_lr", "average", "value_parameters", "actor", "critic", "target", "generator")


def start(kind: str, out: Path) -> None:
    """Trains, or goes on with what is there."""
    experiment, resume = KINDS[kind], (out / "experiment.json").is_file()
    if isinstance(experiment, SelfPlayExperiment):
        train_self_play(experiment, seed=1, out=out, resume=resume, progress=False)
    else:
        train(experiment, seed=1, out=out, resume=resume, progress=False, tensorboard=False)


def fork(work: Callable[[], None], told: Path) -> int:
    """A child that works, and leaves the sentence of what ended it, if that was an error, in ``told``."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work()
    except (KeyboardInterrupt, SystemExit):
        os._exit(1)
    except BaseException as error:  # what is none of the library's sentences is to be seen
        told.write_text(f"{type(error).__name__}: {error}")
        os._exit(2)
    os._exit(0)


def interrupted_to_the_end(kind: str, number: int, out: Path, most: int, length: float) -> tuple[int, str]:
    """How often a training was interrupted until it ended (or so often that it was let go), and what went wrong."""
    told, count = out.parent / f"{out.name}.error", 0
    while True:
        child = fork(lambda: start(kind, out), told)
        if count < most:
            time.sleep(random.random() * min(length, 1.5))
            os.kill(child, number)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return count, ""
        if told.is_file():
            return count, told.read_text()
        count += 1


def difference(out: Path, whole: Path) -> str:
    """What two finished runs do not share, or nothing."""
    first, second = checkpoint.load(out / LAST), checkpoint.load(whole / LAST)
    for name in STATE:
        if name in second and not torch.equal(first[name], second[name]):
            return f"{name} differ"
    logs = [
        [{**json.loads(line), "seconds": 0} for line in (each / LOG).read_text().splitlines()] for each in (out, whole)
    ]
    return "" if logs[0] == logs[1] else "logs differ"


def interrupts(trials: int, kinds: list[str], seed: int) -> bool:
    """Prints a table of counts; returns whether every run ended as one that was left alone."""
    random.seed(seed)
    good = True
    print("| training | interrupt | interrupts | runs | ended otherwise |", "|---|---|---|---|---|", sep="\n")
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole"
            begun = time.perf_counter()
            os.waitpid(fork(lambda: start(kind, whole), Path(folder) / "error"), 0)  # noqa: B023
            length = time.perf_counter() - begun
            for name, number in SIGNALS.items():
                done, runs, wrong = 0, 0, []
                while done < trials:
                    out = Path(folder) / f"{number}-{runs}"
                    count, error = interrupted_to_the_end(kind, number, out, min(20, trials - done), length)
                    error = error or difference(out, whole)
                    wrong += [error] * bool(error)
                    # one that ended before it could be interrupted counts for nothing
                    done, runs = done + count, runs + 1
                    shutil.rmtree(out, ignore_errors=True)
                print(f"| {kind} | {name} | {done} | {runs} | {'; '.join(wrong) or 'none'} |", flush=True)
                good = good and not wrong
    return good


def disk() -> bool:
    """What happens to a training whose disk fills up, turns read-only or goes away; prints a table."""
    good = True
    print("| training | what happens | sentence | then resumed |", "|---|---|---|---|", sep="\n")
    for kind in ("table", "LSTM with critic", "LOQA in the coin game"):
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole"
            os.waitpid(fork(lambda: start(kind, whole), Path(folder) / "error"), 0)  # noqa: B023
            needed = sum(file.stat().st_size for file in whole.iterdir())
            for name, change in DISASTERS.items():
                mount = Path(folder) / "mount"
                mount.mkdir()
                if change is fill:
                    size = f"size={4 * needed + 65536}"
                    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", mount], check=True)
                try:
                    sentence, after = survive(kind, mount, change, whole)
                finally:
                    if change is fill:
                        subprocess.run(["umount", mount], check=True)
                    shutil.rmtree(mount)
                print(f"| {kind} | {name} | {sentence.replace(folder, '')} | {after} |", flush=True)
                good = (
                    good
                    and sentence.startswith(("OSError", "FileNotFoundError", "PermissionError"))
                    and after in ("the same", "gone")
                )
    return good


def fill(mount: Path) -> Callable[[], None]:
    """Leaves no room, until it is called back."""
    ballast = mount / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast.unlink


def turn_read_only(mount: Path) -> Callable[[], None]:
    """Nothing can be written, by the superuser neither, until it is called back."""
    subprocess.run(["chattr", "-R", "+i", mount / "run"], check=True)
    return lambda: subprocess.run(["chattr", "-R", "-i", mount / "run"], check=True) and None


def take_away(mount: Path) -> Callable[[], None]:
    """The run folder is gone for good."""
    shutil.rmtree(mount / "run")
    return lambda: None


DISASTERS = {"the disk is full": fill, "read-only": turn_read_only, "the folder is taken away": take_away}


def survive(kind: str, mount: Path, change: Callable[[Path], Callable[[], None]], whole: Path) -> tuple[str, str]:
    """The sentence that a training ended with whose disk changed after some iterations, and how its resume ended."""
    out, told = mount / "run", mount.parent / "told"
    told.unlink(missing_ok=True)
    undo: list[Callable[[], None]] = []

    def work() -> None:
        from mamrl.shaping.self_play import SelfPlayLearner
        from mamrl.training.learner import Learner

        for owner in (Learner, SelfPlayLearner):
            step, calls = owner.step, []

            def changed(self, step=step, calls=calls):
                calls.append(None)
                if len(calls) == 5:
                    (mount.parent / "now").touch()
                    while (mount.parent / "now").exists():
                        time.sleep(0.01)
                return step(self)

            owner.step = changed
        start(kind, out)

    child = fork(work, told)
    while not (mount.parent / "now").exists():
        time.sleep(0.01)
    undo.append(change(mount))
    (mount.parent / "now").unlink()
    os.waitpid(child, 0)
    sentence = told.read_text() if told.is_file() else "no error"
    for back in undo:
        back()
    if not out.is_dir():
        return sentence, "gone"
    told.unlink(missing_ok=True)
    os.waitpid(fork(lambda: start(kind, out), told), 0)
    if told.is_file():
        return sentence, told.read_text()
    return sentence, difference(out, whole) or "the same"


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="interrupts of each signal on each kind")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS, help="of trainings")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--disk", action="store_true", help="disks instead of signals")
    args = parser.parse_args()
    torch.set_num_threads(1)
    return 0 if (disk() if args.disk else interrupts(args.trials, args.kinds, args.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
