"""Two LOLA-DiCE learners in the iterated prisoner's dilemma (Foerster et al. 2018c), by look-ahead and kind of DiCE."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mamrl.evaluation import confidence_interval
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command
from mamrl.games import MatrixGame, ipd
from mamrl.meta import Chain
from mamrl.plotting import pyplot, save_figure
from mamrl.policies import TabularPolicy
from mamrl.progress import progress_bar
from mamrl.shaping.lola_dice import self_play

NAME = "lola-dice"
# the payoffs of that literature: CC -1, CD -3, DC 0, DD -2
GAME = MatrixGame(ipd().payoffs - 1.5, "ipd")
POLICY = TabularPolicy(5, 2)
PAIRS = 8
UPDATES = 120
LEARNING_RATE = 0.2
SIMULATED_STEP = 0.3
# label: (simulated steps, 0 for naive learners; kind of DiCE)
LEARNERS = {
    "naive": (0, "loaded-dice"),
    "k = 1": (1, "loaded-dice"),
    "k = 2": (2, "loaded-dice"),
    "k = 3": (3, "loaded-dice"),
    "k = 1, plain DiCE": (1, "dice"),
    "k = 2, plain DiCE": (2, "dice"),
}


def learn(label: str, seed: int, updates: int) -> Tensor:
    """Mean discounted reward a step of both players before each update, (updates, pairs)."""
    lookahead, dice = LEARNERS[label]
    chain = Chain(
        "lola-dice", num_trajectories=128, peer_lr=SIMULATED_STEP, lookahead=max(lookahead, 1), lookahead_dice=dice
    )
    start = [torch.zeros(PAIRS, 5) for _ in range(2)]
    history, _ = self_play(
        chain,
        GAME,
        [POLICY, POLICY],
        start,
        updates=updates,
        learning_rate=LEARNING_RATE,
        looks_ahead=lookahead > 0,
        seed=seed,
    )
    return history.mean(1)


def draw_self_play(options: Options) -> Path:
    """Self-play of naive and LOLA-DiCE learners; every seed plays :data:`PAIRS` pairs."""
    report = Report(options.out / NAME, f"{NAME}: self-play in the IPD", command(NAME, options))
    curves: dict[str, Tensor] = {}
    for label in progress_bar(LEARNERS, desc="learners"):
        curves[label] = torch.cat([learn(label, seed, options.share(UPDATES)) for seed in range(options.seeds)], 1)
    rows = [
        (label, update, pair, float(value))
        for label, curve in curves.items()
        for update, values in enumerate(curve)
        for pair, value in enumerate(values)
    ]
    report.table("values.csv", ["learners", "update", "pair", "value"], rows)
    figure, axis = pyplot().subplots(figsize=(5.4, 3.8))
    for index, (label, curve) in enumerate(curves.items()):
        mean, half = torch.tensor([confidence_interval(values) for values in curve]).T
        axis.plot(mean.numpy(), label=label, color=f"C{index}")
        axis.fill_between(
            range(len(mean)), (mean - half).numpy(), (mean + half).numpy(), color=f"C{index}", alpha=0.2, lw=0
        )
    axis.set(xlabel="updates", ylabel="mean discounted reward a step")
    axis.legend(fontsize=8)
    save_figure(figure, report.folder / "figure.png")
    last = {label: curve[-10:].mean(0) for label, curve in curves.items()}
    checks = [Check("naive", float(last["naive"].mean()), -2.0, -1.95)]
    checks += [
        Check(f"LOLA-DiCE, {label} (published {published})", float(last[label].mean()), published, -1.0)
        for label, published in (("k = 1", -1.19), ("k = 2", -1.12), ("k = 3", -1.11))
    ]
    stuck = ", ".join(f"{label} {int((values < -1.2).sum())}" for label, values in last.items())
    notes = [
        *options.notes,
        f"{PAIRS} pairs a seed, {options.seeds} seeds, tables from the uniform policy, K = 128, T = 150; Adam "
        f"{LEARNING_RATE:g}, simulated steps of {SIMULATED_STEP:g}, {UPDATES} updates; the last ten are averaged.",
        f"Pairs that end below -1.2, of {PAIRS * options.seeds}: {stuck}.",
        "The published values are of plain DiCE with a longer training; loaded DiCE is what makes 120 updates enough.",
    ]
    return report.verdict("LOLA-DiCE learns to cooperate in self-play, where naive learners defect.", checks, notes)


FIGURES = (Figure(NAME, "LOLA-DiCE in self-play, IPD", "cooperates where naive learning defects", 4, draw_self_play),)
