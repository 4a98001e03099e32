"""HalfCheetah: environment steps a second beside mj_step in C, mujoco.batch, EnvPool and Gymnasium.

``python -m bench.bench_half_cheetah`` measures all that are installed in turns, so that a noisy machine
treats them alike, and prints medians of rates and of ratios within a turn. Random actions, 64 environments.
On a busy machine ``--cpu-time`` counts this process's processor time instead of the wall clock, which leaves
out what Gymnasium's worker processes spend.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.rivals.half_cheetah import (
    FRAME_SKIP,
    StepFunction,
    envpool,
    gymnasium_vector,
    mamrl_batch,
    mujoco_batch,
)
from mamrl.games.half_cheetah import MUJOCO_VERSION, default_model
from mamrl.games.locomotion import HalfCheetahGame
from mamrl.policies.gaussian import gaussian_policies

ROLLOUT = "mamrl with both policies"


def mamrl_rollout(num_envs: int) -> Callable[[np.ndarray], object]:
    """Both agents' LSTM policies inside; takes many steps at once and ignores the actions that it is given."""
    policies = gaussian_policies("2x3")
    rows = [policy.initial(torch.Generator().manual_seed(0)).unsqueeze(0) for policy in policies]
    keys = torch.zeros(1, 2, dtype=torch.int64)
    game = HalfCheetahGame()
    return lambda actions: game.play(policies, rows, keys, num_envs, len(actions), num_threads=1)


def raw_loop(num_envs: int) -> StepFunction:
    """Compiled here, with the C compiler's -O2, against the installed MuJoCo."""
    spec = importlib.util.find_spec("mujoco")
    assert spec is not None
    assert spec.origin is not None
    mujoco = Path(spec.origin).parent
    source = Path(__file__).with_name("raw_mj_step.c")
    target = Path(tempfile.mkdtemp()) / "raw_mj_step.so"
    library = mujoco / f"libmujoco.so.{MUJOCO_VERSION}"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", f"-I{mujoco / 'include'}", source, library, "-o", target],
        check=True,
    )
    ctypes.CDLL(str(library))
    raw = ctypes.CDLL(str(target))
    raw.raw_make.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(raw.raw_make(str(default_model()).encode(), num_envs))
    return lambda actions: raw.raw_step(handle, actions.ctypes.data_as(ctypes.c_void_p), FRAME_SKIP)


CONTESTANTS: dict[str, Callable[[int], StepFunction]] = {
    "raw mj_step loop in C": raw_loop,
    "mamrl": mamrl_batch,
    ROLLOUT: mamrl_rollout,
    "mamrl, 2 threads": lambda n: mamrl_batch(n, 2),
    "mujoco.batch": mujoco_batch,
    "EnvPool": envpool,
    "Gymnasium SyncVectorEnv": lambda n: gymnasium_vector(n, "sync"),
    "Gymnasium AsyncVectorEnv": lambda n: gymnasium_vector(n, "async"),
}


def measure(num_envs: int, rounds: int, steps: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Environment steps a second of each installed contestant, by round."""
    running: dict[str, StepFunction] = {}
    for name, make in CONTESTANTS.items():
        try:
            running[name] = make(num_envs)
        except ImportError as error:
            print(f"{name}: left out ({error})")
    generator = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        actions = generator.uniform(-1, 1, (steps, num_envs, 6))
        for name, step in running.items():
            start = clock()
            if name == ROLLOUT:
                step(actions)
            else:
                for row in actions:
                    step(row)
            rates[name].append(num_envs * steps / (clock() - start))
    return rates


def report(rates: dict[str, list[float]]) -> None:
    ceiling = rates["raw mj_step loop in C"]
    ours = rates["mamrl"]
    print(f"{'':26}{'steps/s':>9}{'of raw':>9}{'mamrl is':>11}")
    for name, values in rates.items():
        of_raw = statistics.median(v / c for v, c in zip(values, ceiling, strict=True))
        faster = statistics.median(o / v for o, v in zip(ours, values, strict=True))
        print(f"{name:26}{statistics.median(values):9.0f}{of_raw:9.1%}{faster:10.2f}x")


@pytest.mark.parametrize("name", CONTESTANTS)
def test_step(benchmark, name):
    benchmark.group = "half_cheetah: a step of 64 environments"
    try:
        step = CONTESTANTS[name](64)
    except ImportError as error:
        pytest.skip(str(error))
    actions = np.random.default_rng(0).uniform(-1, 1, (64, 6))
    benchmark(step, actions[None] if name == ROLLOUT else actions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    report(measure(arguments.num_envs, arguments.rounds, arguments.steps, clock))
