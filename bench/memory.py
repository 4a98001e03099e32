"""``python -m bench.memory``: what a meta-iteration takes above the idle process, ours beside an expert's PyTorch.

Each runs in a process of its own: resident size once everything is built, and the peak after two iterations.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable


def mamrl_iteration() -> Callable[[], object]:
    from mamrl.config.setting import build
    from mamrl.experiments import preset
    from mamrl.training.learner import Learner

    return Learner(build(preset("ipd-paper").replace(chains=1, pcgrad=False)), seed=0).step


def expert_pytorch_iteration() -> Callable[[], object]:
    from bench.bench_meta_iteration import rival, rival_arguments

    arguments = rival_arguments()
    return lambda: rival.meta_iteration(rival.play_expert, *arguments, rival.Sizes())


WAYS = {"mamrl": mamrl_iteration, "expert_pytorch": expert_pytorch_iteration}


def status(field: str) -> float:
    """A field of /proc/self/status in MB."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1000


def above_idle(way: str) -> float:
    """Peak resident MB of two iterations over what the process held before them."""
    import torch

    torch.set_num_threads(1)
    iteration = WAYS[way]()
    # threads and pools of the first backward are part of the idle process
    x = torch.ones(2, requires_grad=True)
    (x * x).sum().backward()
    idle = status("VmRSS")
    iteration()
    iteration()
    return status("VmHWM") - idle


def main() -> None:
    if len(sys.argv) > 1:
        print(above_idle(sys.argv[1]))
        return
    megabytes = {}
    for way in WAYS:
        result = subprocess.run([sys.executable, "-m", "bench.memory", way], capture_output=True, text=True, check=True)
        megabytes[way] = float(result.stdout)
        print(f"{way:>16} {megabytes[way]:7.0f} MB above idle, {megabytes[way] / megabytes['mamrl']:.1f} times ours")


if __name__ == "__main__":
    main()
