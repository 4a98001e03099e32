"""``python -m bench.cuda``: the CUDA kernels beside their floors, by CUDA events, medians after warm-up.

A floor is the larger of flops over ``FLOPS`` and bytes over ``BYTES``, what an H200 can do at best: it counts the
products of the LSTM, not its activations, and the bytes that must be read and written once.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from mamrl import ops, preset
from mamrl.config.setting import build
from mamrl.device import resolve_device
from mamrl.games import ipd
from mamrl.ops import reference
from mamrl.training.capture import WARM_UP
from mamrl.training.learner import Learner

FLOPS, BYTES = 67e12, 4.3e12
CHAINS, TRAJECTORIES, HORIZON, UNITS, STATES = 264, 64, 150, 64, 5
STEPS = CHAINS * TRAJECTORIES * HORIZON
# one product of the recurrent weights with all hidden states
PRODUCT = 2 * STEPS * 4 * UNITS * UNITS


@dataclass(frozen=True)
class Timing:
    """One kernel's, in seconds; flops and bytes that it cannot do without, environment steps where it makes some."""

    name: str
    median: float
    shortest: float
    flops: float
    bytes: float
    env_steps: int

    @property
    def floor(self) -> float:
        return max(self.flops / FLOPS, self.bytes / BYTES)


def timing(
    name: str,
    run: Callable[[], object],
    flops: float = 0,
    moved: float = 0,
    *,
    env_steps: int = 0,
    rounds: int = 20,
    warm_up: int = 3,
) -> Timing:
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return Timing(name, statistics.median(seconds), min(seconds), flops, moved, env_steps)


def small_ops(device: torch.device) -> Iterator[Timing]:
    size = 150 * 65536
    rewards, values = torch.randn(150, 65536, device=device), torch.randn(151, 65536, device=device)
    source = torch.empty(3 * size // 2, device=device)
    yield timing("copy of gae's bytes", source.clone, moved=12 * size)
    yield timing("gae [150, 65536]", lambda: ops.gae(rewards, values, 0.96, 0.95), moved=12 * size)
    yield timing("discounted_returns [150, 65536]", lambda: ops.discounted_returns(rewards, 0.96), moved=8 * size)
    states = torch.randint(STATES, (HORIZON, CHAINS, TRAJECTORIES), device=device)
    returns = torch.randn(HORIZON, CHAINS, TRAJECTORIES, device=device)
    fit = lambda: ops.linear_baseline(states, returns, num_states=STATES)  # noqa: E731
    yield timing(f"linear_baseline, states, {CHAINS} chains", fit, moved=16 * STEPS)
    vectors = torch.randn(HORIZON, CHAINS, TRAJECTORIES, 17, device=device)
    fit = lambda: ops.linear_baseline(vectors, returns)  # noqa: E731
    yield timing(f"linear_baseline, 17 numbers, {CHAINS} chains", fit, moved=(17 + 2) * 4 * STEPS)
    log_probs = torch.randn(HORIZON, CHAINS, TRAJECTORIES, device=device, requires_grad=True)
    dice = torch.ops.mamrl.dice_objective
    yield timing("dice_objective", lambda: dice(log_probs.detach(), returns, returns, 0.96), moved=8 * STEPS)
    grad, weights = torch.ones(CHAINS, device=device), torch.randn_like(returns)
    product = torch.ops.mamrl.dice_hessian_product
    hvp = lambda: product(log_probs.detach(), returns, grad, weights, returns, 0.96)  # noqa: E731
    yield timing("dice_hessian_product", hvp, moved=16 * STEPS)


def network(outputs: int, device: torch.device) -> list[Tensor]:
    return [
        0.3 * torch.randn(CHAINS, STATES, 4 * UNITS, device=device),
        torch.randn(CHAINS, 4 * UNITS, UNITS, device=device) / 8,
        torch.randn(CHAINS, outputs, UNITS, device=device) / 8,
        torch.zeros(CHAINS, outputs, device=device),
    ]


def networks(device: torch.device) -> Iterator[Timing]:
    table, recurrent, head, bias = network(2, device)
    states = torch.randint(STATES, (HORIZON, CHAINS, TRAJECTORIES), device=device)
    kernels = torch.ops.mamrl
    saved_bytes = 4 * 5 * UNITS * STEPS
    forward = lambda: kernels.lstm(table, states, recurrent, head, bias, 1.0)  # noqa: E731
    yield timing("lstm", forward, PRODUCT, saved_bytes)
    outputs, saved = forward()
    middle = (torch.randn_like(outputs), table, states, recurrent, head, saved)
    yield timing("lstm_backward", lambda: kernels.lstm_backward(*middle, 1.0), 2 * PRODUCT, saved_bytes * 6 / 5)
    *directions, adjoints = kernels.lstm_backward(*middle, 1.0)
    double = lambda: kernels.lstm_double_backward(*directions, *middle, adjoints, 1.0)  # noqa: E731
    yield timing("lstm_double_backward", double, 6 * PRODUCT, saved_bytes * 6 / 5)
    peer, payoffs = torch.randn(CHAINS, STATES, 2, device=device), ipd().payoffs.to(device)
    keys = torch.randint(2**40, (CHAINS, 2), device=device)
    players = [table, recurrent, head, bias, *network(1, device), peer]
    kinds = [reference.LSTM_WITH_VALUE, reference.TABULAR]
    for record in (False, True):
        play = lambda record=record: ops.matrix_game_rollout(  # noqa: E731
            payoffs, players, kinds, keys, TRAJECTORIES, HORIZON, record
        )
        name = f"rollout, actor and critic{', recorded' if record else ''}"
        yield timing(name, play, 2 * PRODUCT, 2 * saved_bytes if record else 0, env_steps=STEPS)
    # states and actions in eight bytes, rewards in four, of two players
    tables = lambda: ops.matrix_game_rollout(  # noqa: E731
        payoffs, [peer, peer], [reference.TABULAR] * 2, keys, TRAJECTORIES, HORIZON
    )
    yield timing("rollout, two tables", tables, moved=40 * STEPS, env_steps=STEPS)


def iterations(device: torch.device) -> Iterator[Timing]:
    positions, usual = 8, {"num_trajectories": TRAJECTORIES, "horizon": HORIZON, "chain_length": 7}
    # rollout and outer gradient at each position; inner gradient and double backward at each but the last
    actor = 3 * positions + 8 * (positions - 1)
    for chains, critic, capture in (
        *((chains, "linear", True) for chains in (1, 4, 16, 66, 132, CHAINS)),
        (CHAINS, "linear", False),
        # with the value network: its rollout and its fit
        (CHAINS, "lstm", True),
    ):
        name = f"meta-iteration, {chains} chains, {critic} critic{', CUDA graph' if capture else ''}"
        experiment = preset("ipd").replace(chains=chains, critic=critic, **usual)
        products = actor + (3 * positions if critic == "lstm" else 0)
        learner = Learner(build(experiment).to(device), seed=0, capture=capture)
        steps = positions * chains * TRAJECTORIES * HORIZON
        try:
            yield timing(
                name, learner.step, products * PRODUCT * chains / CHAINS, env_steps=steps, rounds=7, warm_up=WARM_UP + 2
            )
        except torch.OutOfMemoryError:
            print(f"{name:<56} does not fit this GPU's memory")
        # a recording keeps its memory as long as it lives
        del learner
        gc.collect()
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cuda", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the numbers in FILE")
    arguments = parser.parse_args()
    try:
        device = resolve_device("cuda")
    except ValueError as error:
        parser.error(str(error))
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    print(f"{'kernel':<56}{'median':>12}{'shortest':>12}{'floor':>12}{'of floor':>10}{'M env steps/s':>15}")
    results = []
    for group in (small_ops, networks, iterations):
        for each in group(device):
            milliseconds = [f"{1e3 * seconds:.3f} ms" for seconds in (each.median, each.shortest, each.floor)]
            rate = f"{each.env_steps / each.median / 1e6:>15,.0f}" if each.env_steps else ""
            texts = "".join(f"{text:>12}" for text in milliseconds)
            print(f"{each.name:<56}{texts}{each.floor / each.median:>10.0%}{rate}")
            results.append({**asdict(each), "floor": each.floor})
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
