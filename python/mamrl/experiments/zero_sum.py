"""The stateless zero-sum game V^1 = x y, V^2 = -x y: figure 2 of Kim et al. 2021, and earlier papers' paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mamrl.evaluation import confidence_interval
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command
from mamrl.games.differentiable import DifferentiableGame, StatelessZeroSum
from mamrl.meta.exact_chain import unroll_values
from mamrl.plotting import TITLES, pyplot, save_figure
from mamrl.shaping.gradients import Rule
from mamrl.shaping.learning import learn
from mamrl.shaping.lola import lola
from mamrl.shaping.naive import naive

GAME = StatelessZeroSum()
INNER_LR = 1.0
META_LR = 0.05
ITERATIONS = 200
SAMPLES = 200
PATH_STEPS = 100
PATH_STEP_SIZE = 0.1


def adapted_values(game: DifferentiableGame, own: Tensor, peer: Tensor, peer_learning: bool) -> Tensor:
    """The meta-agent's value V_{phi_1} (N,) after one step of both players, differentiable in ``own``.

    Args:
        game: of two players.
        own: phi_0^i, (N, D).
        peer: phi_0^{-i}, (N, D).
        peer_learning: whether the peer's step depends on phi_0^i (Meta-MAPG), or is taken as given (Meta-PG).
    """
    positions = unroll_values(game.values, [own, peer], lambda *_: INNER_LR, 1, peer_learning)
    return positions[-1].values[0]


def meta_train(own: Tensor, peer: Tensor, peer_learning: bool, iterations: int) -> Tensor:
    """V_{phi_1} before each meta-gradient step and after the last, (iterations + 1, N)."""
    history = []
    for _ in range(iterations + 1):
        own = own.detach().requires_grad_()
        values = adapted_values(GAME, own, peer, peer_learning)
        history.append(values.detach())
        (gradient,) = torch.autograd.grad(values.sum(), own)
        own = own + META_LR * gradient
    return torch.stack(history)


def meta_training(options: Options) -> Path:
    """Figure 2: meta-training against 200 opponents."""
    report = Report(
        options.out / "fig2", "fig2: meta-training in the stateless zero-sum game", command("fig2", options)
    )
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(SAMPLES, 1, generator=generator) - 0.5
    peer = 2 * torch.rand(SAMPLES, 1, generator=generator) - 1
    curves = {TITLES[name]: meta_train(own, peer, name == "meta-mapg", ITERATIONS) for name in ("meta-mapg", "meta-pg")}
    rows = [
        (label, iteration, *confidence_interval(values))
        for label, curve in curves.items()
        for iteration, values in enumerate(curve)
    ]
    report.table("value.csv", ["algorithm", "iteration", "value", "interval"], rows)
    figure, axis = pyplot().subplots(figsize=(5.0, 3.6))
    for label in curves:
        mean, half = (torch.tensor([row[i] for row in rows if row[0] == label]) for i in (2, 3))
        axis.plot(mean.numpy(), label=label)
        axis.fill_between(range(len(mean)), (mean - half).numpy(), (mean + half).numpy(), alpha=0.2, lw=0)
    axis.set(xlabel="meta-gradient steps", ylabel="value after both have adapted")
    axis.legend()
    save_figure(figure, report.folder / "figure.png")
    rise = {label: curve[-1] - curve[0] for label, curve in curves.items()}
    checks = [
        _beyond_zero(f"{label}: last value less first", sign, rise[label])
        for label, sign in ((TITLES["meta-mapg"], 1), (TITLES["meta-pg"], -1))
    ]
    best = peer.square().mean()
    checks.append(
        Check("Meta-MAPG: shortfall from the best, mean y^2", float(best - curves["Meta-MAPG"][-1].mean()), 0, 1e-3)
    )
    notes = [
        f"x_0 uniform in [-.5, .5], y_0 in [-1, 1], {SAMPLES} pairs; L = 1, inner step {INNER_LR:g}, {ITERATIONS} "
        f"meta-steps of {META_LR:g}. The paper does not give its own.",
        "With an inner step of 1 the adapted value is (x + y)(y - x) = y^2 - x^2, so x = 0 is best; Meta-PG takes the "
        "opponent's y - x for a constant and goes to x = y, where the value is 0.",
    ]
    return report.verdict(
        "Meta-PG makes its own performance worse; Meta-MAPG improves to a winning strategy.", checks, notes
    )


def learning_paths(options: Options) -> Path:
    """Figure 1 of the workshop paper, figure 7 of the ICLR-style version: naive learning diverges, LOLA converges."""
    title = "workshop-fig1: learning paths in the stateless zero-sum game"
    report = Report(options.out / "workshop-fig1", title, command("workshop-fig1", options))
    rules: dict[str, Rule] = {"naive": naive, "LOLA": lola}
    starts = [torch.tensor([[1.0], [-0.5], [0.2]]), torch.tensor([[0.5], [1.0], [-0.9]])]
    figure, axis = pyplot().subplots(figsize=(4.4, 4.0))
    rows, distances = [], {}
    for index, (label, rule) in enumerate(rules.items()):
        path = _path(rule, starts)
        distances[label] = torch.linalg.vector_norm(path, dim=1)
        rows += [
            (label, start, step, *point)
            for step, points in enumerate(path.tolist())
            for start, point in enumerate(zip(*points, strict=True))
        ]
        for start in range(path.shape[-1]):
            axis.plot(
                *path[..., start].T.numpy(), color=f"C{index}", label=None if start else label, marker=".", ms=3, lw=1
            )
    report.table("paths.csv", ["rule", "start", "step", "x", "y"], rows)
    axis.scatter([0], [0], marker="*", color="black", zorder=3)
    axis.set(xlabel="player 1's parameter", ylabel="player 2's parameter", aspect="equal")
    axis.legend()
    save_figure(figure, report.folder / "figure.png")
    checks = [
        Check(
            "naive: last distance from the equilibrium over the first, least",
            float((distances["naive"][-1] / distances["naive"][0]).min()),
            1,
            float("inf"),
        ),
        Check("LOLA: last distance from the equilibrium, largest", float(distances["LOLA"][-1].max()), 0, 0.02),
    ]
    notes = [f"{PATH_STEPS} steps of {PATH_STEP_SIZE:g}; LOLA's extrapolation is 1."]
    return report.verdict(
        "Learning as if the other stood still diverges; LOLA converges to the equilibrium.", checks, notes
    )


def _path(rule: Rule, starts: Sequence[Tensor]) -> Tensor:
    """Both players' parameters at every step, (steps + 1, 2, pairs)."""
    path: list[Tensor] = []

    def keep(_: int, params: Sequence[Tensor]) -> None:
        path.append(torch.cat(list(params), dim=-1).T)

    learn(GAME, starts, rule, steps=PATH_STEPS, step_size=PATH_STEP_SIZE, watch=keep)
    return torch.stack(path)


def _beyond_zero(what: str, sign: int, values: Tensor) -> Check:
    mean, half = confidence_interval(values)
    return Check(f"{what} (± {half:.3f})", mean, *((half, float("inf")) if sign > 0 else (-float("inf"), -half)))


FIGURES = (
    Figure(
        "fig2",
        "meta-training in the stateless zero-sum game",
        "Meta-PG falls, Meta-MAPG rises",
        0.1,
        meta_training,
    ),
    Figure(
        "workshop-fig1",
        "learning paths in the stateless zero-sum game (figure 7 of the ICLR-style version)",
        "naive learning diverges, LOLA converges",
        0.1,
        learning_paths,
    ),
)
