"""Seconds until Meta-MAPG's validation AUC passes +4 in the prisoner's dilemma, from scratch: ours, eager torch, JAX.

All start from the same phi_0, and all are judged by the library's own validation, during which the clock stands still;
compiling is on the clock. A rival is stopped at its cap, and the note says how far it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from bench.rivals.contest import OURS, Row, version_of
from bench.rivals.meta_gradient import Problem
from mamrl.config import Experiment
from mamrl.evaluation import adapt_to_population
from mamrl.experiments import preset

GOAL = 4.0
# (what the table says, experiment, seed, iterations between validations, seconds for ours, for a rival)
TRAININGS: tuple[tuple[str, Experiment, int, int, float, float], ...] = (
    ("table, preset ipd-tabular", preset("ipd-tabular"), 0, 5, 120.0, 90.0),
    (
        "LSTM(64), preset ipd with chains=2 actor_lr=2e-3 chain_grad_clip=1",
        preset("ipd").replace(chains=2, actor_lr=2e-3, chain_grad_clip=1.0),
        1,
        10,
        240.0,
        60.0,
    ),
)


class Ours:
    def __init__(self, problem: Problem, seed: int) -> None:
        self.learner = problem.learner(seed)

    def step(self, peers: Tensor) -> None:
        """It draws its peers itself."""
        self.learner.step()

    def trained(self) -> tuple[Tensor, Tensor]:
        return self.learner.parameters, self.learner.own_lr


class Eager:
    def __init__(self, problem: Problem, seed: int) -> None:
        from bench.rivals.chain_torch import Trainer

        torch.manual_seed(seed)
        self.trainer = Trainer(problem.experiment, problem.setting.game.payoffs, problem.network)
        self.trainer.start(problem.own)

    def step(self, peers: Tensor) -> None:
        self.trainer.step(peers)

    def trained(self) -> tuple[Tensor, Tensor]:
        return self.trainer.own, self.trainer.rates


class Jax:
    def __init__(self, problem: Problem, seed: int) -> None:
        import jax

        from bench.rivals.chain_jax import Trainer

        # each is the quicker one in the meta-iteration's rows
        over_chains = "map" if problem.network else "vmap"
        payoffs = problem.setting.game.payoffs.numpy()
        self.jax, self.key = jax, jax.random.PRNGKey(seed)
        self.trainer = Trainer(problem.experiment, payoffs, problem.network, over_chains)
        self.state = self.trainer.start(problem.own.numpy())

    def step(self, peers: Tensor) -> None:
        self.key, key = self.jax.random.split(self.key)
        self.state, rewards = self.trainer.step(self.state, peers.numpy(), key)
        self.jax.block_until_ready(rewards)

    def trained(self) -> tuple[Tensor, Tensor]:
        return torch.tensor(self.state.own.tolist()), torch.tensor(self.state.rates.tolist())


WAYS: dict[str, tuple[Callable[[Problem, int], Any], str]] = {
    OURS: (Ours, "mamrl"),
    "torch, eager": (Eager, "torch"),
    "JAX, jitted": (Jax, "jax"),
}


def results() -> Iterator[Row]:
    for name, experiment, seed, every, our_cap, cap in TRAININGS:
        work = f"validation AUC above +{GOAL:g}, {name}, seed {seed}"
        ours: Row | None = None
        needed = 0
        for way, (make, package) in WAYS.items():
            row = Row("to_the_result", work, way, version_of(package), rounds=1)
            try:
                problem = Problem(experiment, seed)
                seconds, iterations, auc = train(make, problem, seed, every, our_cap if way == OURS else cap)
            except Exception as error:
                row.checked, row.rounds = f"left out: {type(error).__name__}: {error}"[:160], 0
                yield row
                continue
            row.median = row.low = row.high = seconds
            row.checked = f"AUC {auc:+.2f} after {iterations} iterations"
            if way == OURS:
                ours, needed = row, iterations
            if auc <= GOAL:
                row.note = f"stopped at {seconds:.0f} s; ours needed {needed} iterations" if way != OURS else "stopped"
            elif ours is not None:
                row.ratio = seconds / ours.median
            yield row


def train(
    make: Callable[[Problem, int], Any], problem: Problem, seed: int, every: int, cap: float
) -> tuple[float, int, float]:
    """Seconds, iterations and the last validation AUC: above the goal, or at the cap."""
    setting, generator = problem.setting, torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    learner = make(problem, seed)
    spent, iterations, auc = time.perf_counter() - started, 0, float("-inf")
    while auc <= GOAL and spent < cap:
        for _ in range(every):
            peers = setting.populations["train"].sample(problem.experiment.chains, generator)
            started = time.perf_counter()
            learner.step(peers)
            spent += time.perf_counter() - started
            iterations += 1
            if spent >= cap:
                break
        own, rates = learner.trained()
        auc = float(adapt_to_population(setting, own, rates, "validation", seed, round_number=iterations).auc.mean())
    return spent, iterations, auc
