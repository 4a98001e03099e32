"""The iterated prisoner's dilemma: figures 3a and 3b of Cooijmans et al. 2023."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mamrl.evaluation.learning_rules import exploit, plays_tit_for_tat
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command, mean_over_seeds
from mamrl.experiments.trained import trained
from mamrl.games.differentiable import iterated_prisoners_dilemma
from mamrl.plotting import pyplot, save_figure
from mamrl.progress import progress_bar
from mamrl.shaping.gradients import Rule
from mamrl.shaping.learning import learn, mixed
from mamrl.shaping.lola import lola_taylor
from mamrl.shaping.meva import ITERATED_SETTINGS, meva
from mamrl.shaping.naive import naive
from mamrl.shaping.networks import iterated_2x2_network

GAME = iterated_prisoners_dilemma()
GAMMAS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
EXTRAPOLATIONS = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0)
#: columns of the CSV, besides the setting and the seed
MEASURES = ("self-play", "player 2", "kept", "responder", "shaper", "naive", "tit-for-tat")


def measure(
    rule: Rule,
    shaping: Rule,
    *,
    seeds: Sequence[int],
    pairs: int,
    steps: int,
    step_size: float,
    response_steps: int = 500,
) -> list[list[float]]:
    """Returns of self-play, against a best response and against a naive learner.

    Args:
        rule: Both players follow it in self-play.
        shaping: Player 1 follows the rule, player 2 learns naively.
        seeds: Of the pairs, from N(0, 1); all learn side by side.
        pairs: How many a seed.
        steps: Of learning.
        step_size: Of each.
        response_steps: Of the best response's gradient ascent.

    Returns:
        For each seed the means over pairs of :data:`MEASURES`.
    """
    draws = [torch.randn(2, pairs, 5, generator=torch.Generator().manual_seed(1000 + seed)) for seed in seeds]
    start = list(torch.cat(draws, 1))
    ends = learn(GAME, start, rule, steps=steps, step_size=step_size)
    response = exploit(GAME, ends, steps=response_steps, start=start[1])
    shaped = GAME.values(learn(GAME, start, shaping, steps=steps, step_size=step_size))
    reciprocal = plays_tit_for_tat(torch.stack(list(ends))).float().mean(0)
    results: list[Tensor] = [*GAME.values(ends), response.kept, response.gained, *shaped, reciprocal]
    return torch.stack(results).unflatten(1, (len(seeds), pairs)).mean(-1).T.tolist()


def meta_values(options: Options) -> Path:
    """Figure 3a: MeVa's returns against gamma."""
    report = Report(
        options.out / "meva-3a",
        "Figure 3a: MeVa on the iterated prisoner's dilemma",
        command("meva-3a", options),
    )
    notes, networks = list(options.notes), [iterated_2x2_network(seed=seed) for seed in range(options.seeds)]
    for seed, network in enumerate(networks):
        checkpoint = report.folder / f"meva-{seed}.pt"
        notes.append(trained("MeVa", GAME, network, ITERATED_SETTINGS, seed, checkpoint, options))

    def rules(gamma: float, seed: int) -> tuple[Rule, Rule]:
        follow = partial(meva, network=networks[seed], formulation="U")
        return partial(follow, gamma=gamma), partial(follow, gamma=(gamma, 0.0))

    result = _sweep(
        options, report, "gamma", GAMMAS, rules, together=False, steps=5 if options.quick else 500, step_size=2.0
    )
    checks = [
        Check("self-play at gamma .5", result[0.5][0], -1.96, -1.84),
        Check("self-play at gamma .9", result[0.9][0], -1.14, -1.00),
        Check("self-play at gamma .99", result[0.99][0], -1.09, -0.99),
        Check("kept against a best response at gamma .99", result[0.99][2], -1.12, math.inf),
    ]
    claim = "As gamma rises MeVa goes from defection to cooperation that a best response does not exploit."
    return report.verdict(claim, checks, notes)


def lola_returns(options: Options) -> Path:
    """Figure 3b: LOLA's returns against its extrapolation."""
    report = Report(
        options.out / "meva-3b",
        "Figure 3b: LOLA on the iterated prisoner's dilemma",
        command("meva-3b", options),
    )

    def rules(extrapolation: float, _: int) -> tuple[Rule, Rule]:
        shaper: Rule = partial(lola_taylor, extrapolation=extrapolation)
        return shaper, mixed([shaper, naive])

    steps = 20 if options.quick else 300
    result = _sweep(options, report, "extrapolation", EXTRAPOLATIONS, rules, together=True, steps=steps, step_size=25.0)
    start = [list(torch.randn(2, 256, 5, generator=torch.Generator().manual_seed(s))) for s in range(options.seeds)]
    plain = [GAME.values(learn(GAME, x, naive, steps=10 * steps // 6, step_size=2.0)).mean().item() for x in start]
    checks = [
        Check("naive learning, step 2, 500 steps", mean_over_seeds(plain), -1.997, -1.973),
        Check("LOLA (first-order, step and extrapolation 25): self-play", result[25.0][0], -1.061, -1.021),
        Check("the same against a naive learner: LOLA's return", result[25.0][4], -1.417, -1.297),
        Check("the same against a naive learner: the naive one's", result[25.0][5], -1.437, -1.317),
    ]
    claim = "LOLA cooperates as its extrapolation grows, up to a point, and its cooperation is not exploited."
    return report.verdict(claim, checks, options.notes)


def _sweep(
    options: Options,
    report: Report,
    name: str,
    settings: Sequence[float],
    rules: Callable[[float, int], tuple[Rule, Rule]],
    *,
    together: bool,
    steps: int,
    step_size: float,
) -> dict[float, list[float]]:
    """Measures every setting and seed, writes the CSV and the picture, and returns means over seeds.

    ``together`` says that all seeds follow the same rules, so that they learn in one batch.
    """
    pairs, response_steps = (16, 20) if options.quick else (256, 500)
    rows: list[tuple[float, ...]] = []
    every = list(range(options.seeds))
    cases = [(x, group) for x in settings for group in ([every] if together else [[seed] for seed in every])]
    for setting, group in progress_bar(cases, desc=name):
        rule, shaping = rules(setting, group[0])
        found = measure(
            rule,
            shaping,
            seeds=group,
            pairs=pairs,
            steps=steps,
            step_size=step_size,
            response_steps=response_steps,
        )
        rows += [(setting, seed, *row) for seed, row in zip(group, found, strict=True)]
    report.table("returns.csv", (name, "seed", *MEASURES), rows)
    table = torch.tensor(rows, dtype=torch.float64).reshape(len(settings), options.seeds, -1)[..., 2:]
    error = table.std(1) / math.sqrt(options.seeds) if options.seeds > 1 else torch.zeros_like(table[:, 0])
    plt = pyplot()
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), sharey=True)
    panels = (("self-play", (0, 1)), ("against a best response", (2, 3)), ("against a naive learner", (4, 5)))
    for axis, (title, columns) in zip(axes, panels, strict=True):
        for column in columns:
            axis.errorbar(
                settings, table[:, :, column].mean(1), error[:, column], label=MEASURES[column], marker=".", capsize=2
            )
        axis.set(title=title, xlabel=name, ylabel="return" if columns[0] == 0 else "")
        axis.legend()
    save_figure(figure, report.folder / "figure.png")
    return {setting: table[index].mean(0).tolist() for index, setting in enumerate(settings)}


FIGURES = (
    Figure("meva-3a", "MeVa on the IPD", "cooperation that is not exploited as gamma rises", 110, meta_values),
    Figure("meva-3b", "LOLA on the IPD", "cooperation as the extrapolation rises", 3, lola_returns),
)
