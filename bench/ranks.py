"""``torchrun --nproc-per-node N -m bench.ranks``: meta-iterations a second by N processes, and their exchange's cost.

One thread each, `ipd` as it is (LSTM, four chains). The exchange is timed by itself, with ranks that are ready for it;
what a rank waits for a slower one is in the iterations. Processor time is the first rank's: on a machine that is busy
otherwise it says more than the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.distributed as dist

from mamrl.config.setting import build
from mamrl.distributed import Ranks, joined
from mamrl.experiments import preset
from mamrl.training.learner import Learner


def iteration_times(learner: Learner, rounds: int) -> tuple[float, float]:
    """Median seconds of a meta-iteration, by the clock and of this process, after a first one."""
    learner.step()
    clock, processor = [], []
    for _ in range(rounds):
        started = time.perf_counter(), time.process_time()
        learner.step()
        clock.append(time.perf_counter() - started[0])
        processor.append(time.process_time() - started[1])
    return statistics.median(clock), statistics.median(processor)


def exchange_time(learner: Learner, ranks: Ranks, rounds: int) -> float:
    """Median seconds of gathering a batch's meta-gradients."""
    chains = learner.setting.experiment.chains
    share = ranks.share(chains)
    mine = [torch.randn(share.stop - share.start, len(learner.parameters) + len(learner.own_lr))]
    times = []
    for _ in range(rounds):
        dist.barrier()
        started = time.perf_counter()
        ranks.gather(mine, chains)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(prog="torchrun --nproc-per-node N -m bench.ranks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="iterations that are timed (default 20)")
    parser.add_argument("--preset", default="ipd")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with joined() as ranks:
        learner = Learner(build(preset(arguments.preset)), seed=0, ranks=ranks)
        seconds, processor = iteration_times(learner, arguments.rounds)
        exchange = 0.0 if ranks.alone else exchange_time(learner, ranks, arguments.rounds)
    if ranks.first:
        chains, size = learner.setting.experiment.chains, 4 * (len(learner.parameters) + len(learner.own_lr))
        print(f"{ranks.count} ranks, {arguments.preset}, {chains} chains: {1 / seconds:.2f} iterations a second,")
        print(f"{processor:.3f} s of processor each; exchange of {size} bytes a chain {1e3 * exchange:.2f} ms,")
        print(f"{100 * exchange / seconds:.2f}% of an iteration")


if __name__ == "__main__":
    main()
