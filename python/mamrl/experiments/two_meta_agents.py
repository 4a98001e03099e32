"""Two meta-agents that train together on prisoner's dilemmas with noisy payoffs: figure 3 of the workshop paper.

Both are tabular and both meta-gradients are exact: each agent ascends its own return over l = 1..L as a function of its
own phi_0, with the other's phi_0 given. A task is a payoff table; agents are trained on some and tested on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mamrl.evaluation import confidence_interval
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command
from mamrl.games import ipd
from mamrl.games.differentiable import DifferentiableGame
from mamrl.games.exact import discounted_occupancy
from mamrl.meta import ALGORITHMS
from mamrl.meta.exact_chain import ExactPosition, unroll_values
from mamrl.plotting import TITLES, pyplot, save_figure
from mamrl.policies import TabularPolicy
from mamrl.progress import progress_bar
from mamrl.shaping.learning import learn
from mamrl.shaping.lola import lola

NAME = "workshop-fig3"
# the paper's payoffs CC -1, CD -3, DC 0, DD -2 are the library's less 1.5
PAYOFFS = ipd().payoffs - 1.5
NOISE = 0.1
DISCOUNT = 0.96
CHAIN_LENGTH = 7
# a step of 1 on the discounted return is one of 1 / (1 - discount) on the value, which is normalised
INNER_LR = 1 / (1 - DISCOUNT)
META_LR = 0.05
ITERATIONS = 300
TASKS = 20
LOLA_STEPS = 40
POLICY = TabularPolicy(5, 2)


class NoisyDilemmas(DifferentiableGame):
    """Iterated prisoner's dilemmas, one a row of the batch, that differ by uniform noise on every payoff.

    A player's parameters are its five logits of cooperation in the library's order of states; values are normalised by
    1 - discount to the scale of one step.
    """

    sizes = (5, 5)

    def __init__(self, tasks: int, generator: torch.Generator) -> None:
        noise = NOISE * (2 * torch.rand(tasks, *PAYOFFS.shape, generator=generator) - 1)
        self.payoffs = (PAYOFFS + noise).flatten(2)

    def _values(self, params: Sequence[Tensor]) -> Tensor:
        occupancy = discounted_occupancy(PAYOFFS, [POLICY.table(row) for row in params], DISCOUNT)
        return (1 - DISCOUNT) * torch.einsum("mpj,mj->pm", self.payoffs, occupancy)


def adapt(game: NoisyDilemmas, initial: Sequence[Tensor], algorithm: str, differentiable: bool) -> list[ExactPosition]:
    """The chain of two agents, each from its own phi_0 (5,), in every task."""
    rows = [row.expand(len(game.payoffs), -1) for row in initial]
    influence = ALGORITHMS[algorithm].peer_influence
    return unroll_values(game.values, rows, lambda *_: INNER_LR, CHAIN_LENGTH, influence, differentiable)


def meta_train(game: NoisyDilemmas, algorithm: str, generator: torch.Generator, iterations: int) -> list[Tensor]:
    """Both agents' phi_0, each (5,), trained on the tasks of ``game``."""
    agents = [(0.1 * torch.randn(5, generator=generator)).requires_grad_() for _ in range(2)]
    optimizer = torch.optim.Adam(agents, lr=META_LR, maximize=True)
    for _ in progress_bar(range(iterations), desc=TITLES[algorithm], leave=False):
        positions = adapt(game, agents, algorithm, differentiable=True)
        returns = torch.stack([position.values for position in positions[1:]]).sum(0).mean(-1)
        for player, agent in enumerate(agents):
            (agent.grad,) = torch.autograd.grad(returns[player], agent, retain_graph=True)
        optimizer.step()
    return [agent.detach() for agent in agents]


def lola_values(game: NoisyDilemmas, generator: torch.Generator) -> Tensor:
    """Mean value by learning step of two LOLA learners that begin anew in every task, (steps + 1,)."""
    start = [0.1 * torch.randn(len(game.payoffs), 5, generator=generator) for _ in range(2)]
    history: list[Tensor] = []
    learn(
        game,
        start,
        partial(lola, extrapolation=INNER_LR),
        steps=LOLA_STEPS,
        step_size=INNER_LR,
        watch=lambda _, params: history.append(game.values(params).mean()),
    )
    return torch.stack(history)


def two_meta_agents(options: Options) -> Path:
    """Workshop figure 3."""
    report = Report(options.out / NAME, f"{NAME}: two meta-agents, noisy payoffs", command(NAME, options))
    curves: dict[str, list[Tensor]] = {}
    for seed in range(options.seeds):
        for algorithm in ("meta-mapg", "meta-pg"):
            generator = torch.Generator().manual_seed(seed)
            train, test = NoisyDilemmas(TASKS, generator), NoisyDilemmas(TASKS, generator)
            agents = meta_train(train, algorithm, generator, options.share(ITERATIONS))
            positions = adapt(test, agents, algorithm, differentiable=False)
            curve = torch.stack([position.values.mean() for position in positions])
            curves.setdefault(TITLES[algorithm], []).append(curve)
        curves.setdefault("LOLA", []).append(lola_values(test, generator))
    rows = [
        (label, seed, step, float(value))
        for label, by_seed in curves.items()
        for seed, curve in enumerate(by_seed)
        for step, value in enumerate(curve)
    ]
    report.table("values.csv", ["algorithm", "seed", "step", "value"], rows)
    _draw(curves, report.folder / "figure.png")
    stacked = {label: torch.stack(by_seed) for label, by_seed in curves.items()}
    mapg, pg, from_scratch = (stacked[label] for label in ("Meta-MAPG", "Meta-PG", "LOLA"))
    checks = [
        Check("Meta-MAPG: mean value after one step of adaptation", float(mapg[:, 1].mean()), -1.15, -1),
        Check("Meta-PG: mean value at the end of the chain", float(pg[:, -1].mean()), -2.1, -1.9),
        Check("LOLA from scratch: mean value after one step", float(from_scratch[:, 1].mean()), -3, -1.15),
        Check("LOLA from scratch: mean value at its last step", float(from_scratch[:, -1].mean()), -1.15, -1),
    ]
    notes = [
        *options.notes,
        f"{TASKS} training and {TASKS} test tasks, noise uniform in [-{NOISE:g}, {NOISE:g}] on every payoff (the paper "
        f"does not say how much); L = {CHAIN_LENGTH}, inner steps of 1 on the discounted return.",
        "Tabular agents and exact values: no sampling, so that a difference is the estimator's, not the noise's.",
    ]
    claim = "Meta-PG's pair ends in mutual defection (-2), Meta-MAPG's cooperates (-1) after one step, LOLA takes many."
    return report.verdict(claim, checks, notes)


def _draw(curves: dict[str, list[Tensor]], path: Path) -> None:
    figure, axis = pyplot().subplots(figsize=(5.0, 3.6))
    for index, (label, by_seed) in enumerate(curves.items()):
        intervals = [confidence_interval(values) for values in torch.stack(by_seed).T]
        mean, half = (torch.tensor([pair[i] for pair in intervals]).nan_to_num() for i in (0, 1))
        axis.plot(mean.numpy(), label=label, color=f"C{index}")
        axis.fill_between(
            range(len(mean)), (mean - half).numpy(), (mean + half).numpy(), color=f"C{index}", alpha=0.2, lw=0
        )
    axis.axhline(-1, color="0.6", lw=0.8, ls=":")
    axis.axhline(-2, color="0.6", lw=0.8, ls=":")
    axis.set(xlabel="steps of adaptation", ylabel="mean value of both agents")
    axis.legend()
    save_figure(figure, path)


FIGURES = (
    Figure(
        NAME,
        "two meta-agents, IPD with noisy payoffs",
        "Meta-MAPG's pair ends nearer mutual cooperation than Meta-PG's",
        3,
        two_meta_agents,
    ),
)
