"""The logistic game: figures 1, 2a and 2b of Cooijmans et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mamrl.evaluation.learning_rules import basin, policy_grid
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command, mean_over_seeds
from mamrl.experiments.trained import trained
from mamrl.games.differentiable import LogisticGame
from mamrl.plotting import pyplot, save_figure
from mamrl.shaping.cola import ConsistencySettings, cola
from mamrl.shaping.gradients import Rule
from mamrl.shaping.hola import hola
from mamrl.shaping.learning import learn
from mamrl.shaping.lola import lola
from mamrl.shaping.meva import MetaValueSettings, meva
from mamrl.shaping.naive import naive
from mamrl.shaping.networks import logistic_game_network

GAME = LogisticGame()
GAMMAS = (0.0, 0.5, 0.8, 0.87, 0.9, 0.95)
#: (column's label, rule) of the rules without a network
PLAIN: dict[str, Rule] = {
    "naive": naive,
    **{f"lola:{a}": partial(lola, extrapolation=a) for a in (1.0, 5.0, 10.0)},
    **{f"hola2:{a}": partial(hola, extrapolation=a, order=2) for a in (1.0, 5.0)},
}


def trained_rules(options: Options, folder: Path) -> tuple[dict[str, list[Rule]], list[str]]:
    """MeVa's and COLA's rules by label, one a seed, and how far each was trained, or resumed, in ``folder``."""
    rules: dict[str, list[Rule]] = {}
    notes = list(options.notes)
    for seed in range(options.seeds):
        values, update = logistic_game_network(seed=seed), logistic_game_network(1, seed=seed)
        notes.append(trained("MeVa", GAME, values, MetaValueSettings(), seed, folder / f"meva-{seed}.pt", options))
        notes.append(trained("COLA", GAME, update, ConsistencySettings(), seed, folder / f"cola-{seed}.pt", options))
        for gamma in GAMMAS:
            rules.setdefault(f"meva:{gamma}", []).append(partial(meva, network=values, formulation="V", gamma=gamma))
        for a in (1.0, 10.0):
            rules.setdefault(f"cola:{a}", []).append(partial(cola, network=update, extrapolation=a))
    return rules, notes


def _keep(path: list[Tensor], step: int, x: Sequence[Tensor]) -> None:
    path.append(torch.stack(list(x)))


def contours(options: Options) -> Path:
    """Figure 1: both players' values over the plane, and the two stable points."""
    report = Report(options.out / "meva-1", "Figure 1: the logistic game", command("meva-1", options))
    x, y = policy_grid(101)
    values = GAME.values((x, y))
    report.table("values.csv", ("x", "y", "f_1", "f_2"), torch.cat([x, y, values.T], 1)[::5].tolist())
    ends = learn(GAME, [torch.tensor([[3.0], [-3.0]], dtype=torch.float64)] * 2, naive, steps=3000, step_size=1.0)
    at = GAME.values(ends)
    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
    for player, axis in enumerate(axes):
        grid = [t.reshape(101, 101) for t in (x, y, values[player])]
        figure.colorbar(axis.contourf(*grid, levels=25), ax=axis)
        for name, point in zip("BA", ends[0].tolist(), strict=True):
            axis.annotate(name, (point[0], point[0]), color="white", ha="center", va="center", weight="bold")
        axis.set(title=f"player {player + 1}", xlabel="$x_1$", ylabel="$x_2$" if player == 0 else "")
    save_figure(figure, report.folder / "figure.png")
    # the published point is short of the maximum: its gradient is 3.5e-7, which is 9e-6 in b
    published = {"b": (5.030701177, 1e-5), "f(B)": (3.858386193, 1e-6), "f(A)": (-0.08967934, 1e-6)}
    found = {"b": ends[0][0].item(), "f(B)": at[0, 0].item(), "f(A)": at[0, 1].item()}
    slope = max(float(g.abs().max()) for g in GAME.values_and_gradients(ends)[1])
    checks = [Check(name, found[name], value - near, value + near) for name, (value, near) in published.items()]
    checks.append(Check("largest gradient in A and B", slope, 0.0, 1e-12))
    return report.verdict("Naive learning ends in A = (-b, -b) or B = (b, b), and both players prefer B.", checks)


def trajectories(options: Options) -> Path:
    """Figure 2a: where each rule leads from the same starting points."""
    report = Report(
        options.out / "meva-2a",
        "Figure 2a: optimisation trajectories in the logistic game",
        command("meva-2a", options),
    )
    # the first seed's networks are drawn
    trained, notes = trained_rules(options, options.out / "meva-2b")
    rules = {**PLAIN, **{label: each[0] for label, each in trained.items()}}
    start = 16 * torch.rand(2, 40, 1, generator=torch.Generator().manual_seed(0)) - 8
    plt = pyplot()
    columns = 4
    height = -(-len(rules) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(11, 2.8 * height), sharex=True, sharey=True)
    rows: list[tuple[object, ...]] = []
    to_b = {}
    for axis, (label, rule) in zip(axes.flat, rules.items(), strict=False):
        path: list[Tensor] = []
        learn(
            GAME,
            list(start),
            rule,
            steps=200,
            step_size=1.0,
            watch=partial(_keep, path),
        )
        track = torch.stack(path)[..., 0]
        axis.plot(track[:, 0], track[:, 1], linewidth=0.7)
        axis.set(title=label, xlim=(-10, 10), ylim=(-10, 10))
        rows += [(label, pair, step, *track[step, :, pair].tolist()) for pair in range(40) for step in (0, 10, 50, 200)]
        to_b[label] = (track[-1] > 0).all(0).double().mean().item()
    for axis in axes.flat[len(rules) :]:
        axis.set_axis_off()
    save_figure(figure, report.folder / "figure.png")
    report.table("trajectories.csv", ("rule", "pair", "step", "x_1", "x_2"), rows)
    checks = [
        Check(
            "share reaching B under MeVa .95 less that under naive learning", to_b["meva:0.95"] - to_b["naive"], 0.2, 1
        )
    ]
    return report.verdict("MeVa at high gamma leads to B from where the other rules lead to A.", checks, notes)


def basins(options: Options) -> Path:
    """Figure 2b: the share of a 29 x 29 grid from which each rule leads to B."""
    report = Report(
        options.out / "meva-2b",
        "Figure 2b: basins of attraction in the logistic game",
        command("meva-2b", options),
    )
    cells = policy_grid()
    found: dict[str, list[Tensor]] = {label: [basin(GAME, rule, cells)] for label, rule in PLAIN.items()}
    single = [x.float() for x in cells]
    trained, notes = trained_rules(options, report.folder)
    for label, rules in trained.items():
        found[label] = [basin(GAME, rule, single) for rule in rules]
    report.table(
        "basins.csv",
        ("rule", "seed", "cells", "share"),
        [
            (label, seed, int(cells.sum()), cells.double().mean().item())
            for label, each in found.items()
            for seed, cells in enumerate(each)
        ],
    )
    plt = pyplot()
    columns = 5
    height = -(-len(found) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(11, 2.4 * height), sharex=True, sharey=True)
    for axis, (label, each) in zip(axes.flat, found.items(), strict=False):
        picture = torch.stack(each).double().mean(0).reshape(29, 29)
        axis.imshow(picture.T, origin="lower", extent=(-10, 10, -10, 10), cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{label}: {picture.mean():.0%}", fontsize=9)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    save_figure(figure, report.folder / "figure.png")
    share = {label: mean_over_seeds([c.double().mean().item() for c in each]) for label, each in found.items()}
    off_diagonal = (cells[0] + cells[1]).abs().squeeze(-1) > 1e-9
    naive_cells = int((found["naive"][0] & off_diagonal).sum())
    checks = [Check("naive: cells of B off the antidiagonal", naive_cells, 406, 406)]
    for label, count in (
        ("lola:1.0", 445),
        ("lola:5.0", 443),
        ("lola:10.0", 435),
        ("hola2:1.0", 451),
        ("hola2:5.0", 470),
    ):
        checks.append(Check(f"{label}: cells of B", int(found[label][0].sum()), count - 1, count + 1))
    for label, middle, half in (
        ("cola:1.0", 0.48, 0.03),
        ("cola:10.0", 0.61, 0.03),
        ("meva:0.0", 0.50, 0.02),
        ("meva:0.8", 0.605, 0.03),
    ):
        checks.append(Check(f"{label}: share of B", share[label], middle - half, middle + half))
    for label, least in (("meva:0.87", 0.9), ("meva:0.9", 0.995), ("meva:0.95", 0.995)):
        checks.append(Check(f"{label}: share of B", share[label], least, float("inf")))
    claim = "LOLA, HOLA2 and COLA widen the basin of B a little; MeVa widens it to the whole area as gamma rises."
    return report.verdict(claim, checks, notes)


FIGURES = (
    Figure("meva-1", "the logistic game's values", "B is preferred to A by both", 0.1, contours),
    Figure("meva-2a", "trajectories in the logistic game", "MeVa leads to B from A's side", 10, trajectories),
    Figure("meva-2b", "basins of attraction in the logistic game", "MeVa's basin of B is everything", 10, basins),
)
