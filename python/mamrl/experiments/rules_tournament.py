"""A tournament of learning rules on the iterated prisoner's dilemma, matching pennies and chicken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from mamrl.evaluation.learning_rules import Entrant, Tournament, tournament
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command, mean_over_seeds
from mamrl.experiments.trained import trained
from mamrl.games.differentiable import Iterated2x2
from mamrl.plotting import pyplot, save_figure
from mamrl.progress import progress_bar
from mamrl.shaping.cola import ConsistencySettings, cola
from mamrl.shaping.hola import hola
from mamrl.shaping.lola import lola_taylor
from mamrl.shaping.maml import maml_initial_policies
from mamrl.shaping.meva import ITERATED_SETTINGS, meva
from mamrl.shaping.naive import naive
from mamrl.shaping.named import named_game
from mamrl.shaping.networks import iterated_2x2_network
from mamrl.shaping.sos import sos

GAMES = ("ipd", "matching-pennies", "chicken")
#: entrants that take the other's learning into account
SHAPERS = ("LOLA", "HOLA2", "SOS", "COLA", "MeVa")
#: COLA's network reads extrapolations up to 10, on policies that are surer than those that learning starts from
CONSISTENCY = ConsistencySettings(policy_init="normal", policy_scale=3.0)


def unit_game(name: str) -> tuple[Iterated2x2, float]:
    """A game with its largest payoff at most the dilemma's, and what its values were divided by for that.

    Chicken's payoffs are thirty times the others'; so divided, one step size and one network serve all games.
    """
    game = named_game(name)
    assert isinstance(game, Iterated2x2)
    scale = max(1.0, max(abs(payoff) for each in game.payoffs for payoff in each) / 3)
    first, second = ([payoff / scale for payoff in each] for each in game.payoffs)
    return Iterated2x2(first, second, game.discount), scale


def entrants(game: Iterated2x2, options: Options, seed: int, name: str) -> tuple[dict[str, Entrant], list[str]]:
    """Who takes part, and how far the networks among them were trained."""
    initial = maml_initial_policies(
        game, step_size=2.0, iterations=2 if options.quick else 40, inner_steps=3, batch=32, seed=seed
    )
    value = iterated_2x2_network(seed=seed, symmetric=game.symmetric)
    update = iterated_2x2_network(5, seed=seed, symmetric=game.symmetric)
    folder = options.out / "meva-tournament" / "networks"
    # the dilemma's meta-values are figure 3a's
    dilemma = name == "ipd"
    kept = options.out / "meva-3a" / f"meva-{seed}.pt" if dilemma else folder / f"meva-{name}-{seed}.pt"
    kept_options = replace(options, resume=options.resume or dilemma)
    notes = [
        trained(f"MeVa on {name}", game, value, ITERATED_SETTINGS, seed, kept, kept_options),
        trained(f"COLA on {name}", game, update, CONSISTENCY, seed, folder / f"cola-{name}-{seed}.pt", options),
    ]
    field = {
        "naive": Entrant(naive, 2.0),
        "LOLA": Entrant(partial(lola_taylor, extrapolation=25.0), 25.0),
        "HOLA2": Entrant(partial(hola, extrapolation=2.0, order=2), 2.0),
        "SOS": Entrant(partial(sos, extrapolation=25.0), 2.0),
        "MAML": Entrant(naive, 2.0, initial),
        "COLA": Entrant(partial(cola, network=update, extrapolation=10.0), 10.0),
        "MeVa": Entrant(partial(meva, network=value, formulation="U", gamma=0.95), 2.0),
    }
    return field, notes


def play(options: Options) -> Path:
    """Every rule beside every other on three games."""
    report = Report(
        options.out / "meva-tournament",
        "A tournament of learning rules",
        command("meva-tournament", options),
    )
    pairs, steps = (16, 10) if options.quick else (128, 300)
    results: dict[str, list[Tournament]] = {}
    rows: list[tuple[object, ...]] = []
    notes = list(options.notes)
    for name, seed in progress_bar(
        [(name, seed) for name in GAMES for seed in range(options.seeds)], desc="tournament"
    ):
        game, scale = unit_game(name)
        field, said = entrants(game, options, seed, name)
        notes += said
        result = tournament(game, field, pairs=pairs, steps=steps, seed=seed)
        result = replace(result, mean=scale * result.mean, interval=scale * result.interval)
        results.setdefault(name, []).append(result)
        for i, first in enumerate(result.names):
            for j, second in enumerate(result.names):
                cells = (result.mean[i, j], result.interval[i, j], result.tit_for_tat[i, j])
                rows.append((name, seed, first, second, *(x for cell in cells for x in cell.tolist())))
    header = "game seed player_1 player_2 value_1 value_2 interval_1 interval_2 tit_for_tat_1 tit_for_tat_2"
    report.table("tournament.csv", header.split(), rows)
    _draw(results, report.folder / "figure.png")
    naive_pair = mean_over_seeds([r.mean[0, 0].mean().item() for r in results["ipd"]])
    shaped = mean_over_seeds([r.mean[1, 1].mean().item() for r in results["ipd"]])
    zero_sum = max(float(r.mean.sum(-1).abs().max()) for r in results["matching-pennies"])
    checks = [
        Check("IPD: naive against naive", naive_pair, -2.0, -1.95),
        Check("IPD: LOLA against LOLA", shaped, -1.1, -1.0),
        Check("matching pennies: largest sum of both players' values", zero_sum, -1e-4, 1e-4),
        *(
            Check(f"{name}: what {rule} earns beside a naive learner, less what this earns", lead, 0.0, math.inf)
            for name in ("ipd", "chicken")
            for rule, lead in _leads_over_naive(results[name]).items()
        ),
    ]
    return report.verdict("Rules that shape the other earn more beside naive learners than these earn.", checks, notes)


def _leads_over_naive(rounds: Sequence[Tournament]) -> dict[str, float]:
    """By how much each rule that shapes the other earns more than a naive learner beside it: means over seeds."""
    names = rounds[0].names
    beside = names.index("naive")
    leads = {rule: [r.mean[names.index(rule), beside] for r in rounds] for rule in SHAPERS}
    return {rule: mean_over_seeds([(x[0] - x[1]).item() for x in means]) for rule, means in leads.items()}


def _draw(results: dict[str, list[Tournament]], path: Path) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(1, len(results), figsize=(5.2 * len(results), 4.6), layout="constrained")
    for axis, (name, rounds) in zip(axes, results.items(), strict=True):
        names = rounds[0].names
        same = [r for r in rounds if r.names == names]
        mean = torch.stack([r.mean[..., 0] for r in same]).mean(0)
        interval = torch.stack([r.interval[..., 0] for r in same]).square().sum(0).sqrt() / len(same)
        axis.imshow(mean, cmap="viridis")
        for i in range(len(names)):
            for j in range(len(names)):
                text = f"{mean[i, j]:.2f}\n±{interval[i, j]:.2f}"
                axis.text(j, i, text, ha="center", va="center", color="white", fontsize=7)
        axis.set_xticks(range(len(names)), names, rotation=45)
        axis.set_yticks(range(len(names)), names)
        axis.set(title=f"{name}: value of the row's player", xlabel="player 2", ylabel="player 1")
    save_figure(figure, path)


FIGURES = (
    Figure("meva-tournament", "a tournament of learning rules", "shapers earn more than naive learners", 360, play),
)
