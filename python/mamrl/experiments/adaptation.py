"""Reward through the chain of joint policies: figures 5a-5c, 6a-6d and the out-of-distribution table of Kim et al."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mamrl.config import HALF_CHEETAH
from mamrl.evaluation import confidence_interval
from mamrl.experiments.matrix_runs import Tested, Trained, meta_test_all, notes_on, notes_on_cost, trained
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command
from mamrl.plotting import TITLES, draw_band, plot_teammates, pyplot, save_figure
from mamrl.populations.personas import SPLITS
from mamrl.populations.teammates import load_teammates

BASELINES = ("meta-pg", "lola-dice", "reinforce")
TRAJECTORIES = (4, 8, 16, 32, 64)
PLAYERS = (2, 3, 4)


def reward_by_position(options: Options, name: str, game: str, group: str | None, claim: str) -> Path:
    """Figures 5a, 5b and 5c: Meta-MAPG beside the baselines, against one kind of peer or all."""
    report = _report(options, name, f"Adaptation in {game.upper()}" + (f" to {group} peers" if group else ""))
    # at the larger of the papers' rates
    scratch = _from_scratch(options, game, "lola-dice", own_lr=1.0)
    algorithms = [*(trained(options, game, algorithm) for algorithm in ("meta-mapg", *BASELINES)), scratch]
    tested = meta_test_all(algorithms, options)
    _write_rewards(report, tested)
    _draw_rewards(report, tested, group)
    aucs = [_auc(each, group) for each in tested]
    checks = [_apart(tested[0].label, aucs[0], each.label, auc) for each, auc in zip(tested[1:], aucs[1:], strict=True)]
    if game == "rps":
        first = torch.stack([test.rewards[:, 0].mean() for test in tested[0].tests])
        last = torch.stack([test.rewards[:, -1].mean() for test in tested[0].tests])
        checks.append(Check("Meta-MAPG: reward in tau_0 (gives up a little early)", float(first.mean()), -1, 0))
        checks.append(Check("Meta-MAPG: reward in tau_L less tau_0 (wins later)", float((last - first).mean()), 0, 2))
    return report.verdict(claim, checks, notes_on(options, tested))


def _fig5d(options: Options) -> Path:
    claim = "Meta-MAPG and Meta-PG are about equal, and both are above LOLA-DiCE and REINFORCE."
    report = _report(options, "fig5d", "Adaptation in the two-agent HalfCheetah")
    # the papers give these two a single learning rate, so theirs may not have been meta-trained
    scratch = [_from_scratch(options, HALF_CHEETAH, each) for each in ("lola-dice", "reinforce")]
    algorithms = [*(trained(options, HALF_CHEETAH, each) for each in ("meta-mapg", *BASELINES)), *scratch]
    tested = meta_test_all(algorithms, options)
    _write_rewards(report, tested)
    _draw_rewards(report, tested, None)
    checks = [
        _apart(learner.label, learner.auc, other.label, other.auc) for learner in tested[:2] for other in tested[2:]
    ]
    intervals = [confidence_interval(each.auc) for each in tested[:2]]
    apart = abs(intervals[0][0] - intervals[1][0]) - intervals[0][1] - intervals[1][1]
    checks.append(
        Check(
            "Meta-MAPG beside Meta-PG: distance between their intervals' ends, below 0 where they meet", apart, -_FAR, 0
        )
    )
    teammates = load_teammates(tested[0].runs[0].setting.experiment.teammates or None)
    plot_teammates(teammates, report.folder / "expertise.png")
    skill = {split: teammates.expertise[teammates.members(split)] for split in SPLITS}
    told = ", ".join(f"{split} {float(x.min()):.3f} to {float(x.max()):.3f}" for split, x in skill.items())
    notes = [
        *options.notes,
        "Agents are the papers' LSTMs; K = 16 and four chains a batch, where the paper has 64 and five workers.",
        f"The population's expertise (`expertise.png`), mean reward a step running left: {told}.",
        *notes_on_cost(options, tested),
    ]
    return report.verdict(claim, checks, notes)


def auc_by(
    options: Options,
    name: str,
    title: str,
    claim: str,
    rows: Sequence[tuple[str, Sequence[Trained]]],
    checks: Callable[[Results], list[Check]] | None = None,
) -> Path:
    """A bar for each algorithm in each of several settings.

    Args:
        options: of the reproduction.
        name: the figure's.
        title: of the verdict.
        claim: of the paper.
        rows: (setting, algorithms).
        checks: what the claim says of the results; None: in each setting the first algorithm is above the others.
    """
    report = _report(options, name, title)
    flat = iter(meta_test_all([each for _, algorithms in rows for each in algorithms], options))
    tested = [(setting, [next(flat) for _ in algorithms]) for setting, algorithms in rows]
    _write_auc(report, tested)
    _draw_auc(report, tested)
    notes = notes_on(options, [each for _, algorithms in tested for each in algorithms])
    return report.verdict(claim, (checks or _first_leads)(tested), notes)


Results = Sequence[tuple[str, Sequence[Tested]]]


def _first_leads(results: Results) -> list[Check]:
    return [_above(setting, first, other) for setting, (first, *others) in results for other in others]


def _in_order(results: Results) -> list[Check]:
    return [_above(setting, *pair) for setting, algorithms in results for pair in pairwise(algorithms)]


_FAR = float("inf")


def _fewer(k: int) -> dict[str, Any]:
    """K trajectories: the fewer, the more chains a batch, and none of them may outweigh the others."""
    return {} if k == 64 else {"num_trajectories": k, "chains": max(8, 256 // k), "chain_grad_clip": 10.0}


def _fig6a(options: Options) -> Path:
    algorithms = ("meta-mapg", *BASELINES)
    rows = [
        (
            f"K = {k}",
            [trained(options, "ipd", each, **_fewer(k)) for each in algorithms],
        )
        for k in TRAJECTORIES
    ]
    claim = "The AUC rises with the number of trajectories K between updates, and Meta-MAPG has the best at every K."

    def checks(results: Results) -> list[Check]:
        fewest, most = (float(results[i][1][0].auc.mean()) for i in (0, -1))
        return [
            *_first_leads(results),
            Check("Meta-MAPG: AUC at the largest K less at the smallest", most - fewest, 0, _FAR),
        ]

    return auc_by(options, "fig6a", "Trajectories between updates", claim, rows, checks)


def _fig6b(options: Options) -> Path:
    def three(k: int) -> list[Trained]:
        fewer = _fewer(k)
        modelled = trained(options, "ipd", "meta-mapg", "with opponent model", opponent_model=True, **fewer)
        return [trained(options, "ipd", "meta-mapg", **fewer), modelled, trained(options, "ipd", "meta-pg", **fewer)]

    rows = [(f"K = {k}", three(k)) for k in (4, 64)]
    claim = "With opponent modelling Meta-MAPG is between the centralised Meta-MAPG and Meta-PG."
    return auc_by(options, "fig6b", "Opponent modelling", claim, rows, _in_order)


def _fig6c(options: Options) -> Path:
    # the more peers there are, the more their draws differ from one batch to the next
    wider: dict[str, Any] = {"chains": 24, "actor_lr": 0.1, "own_lr_lr": 0.05, "lr_decay": True}

    def one(algorithm: str, players: int) -> Trained:
        if players == 2:
            return trained(options, "rps", algorithm)
        return trained(options, "rps", algorithm, num_players=players, **(wider if options.agent == "tabular" else {}))

    rows = [(f"{n} players", [one("meta-mapg", n), one("meta-pg", n)]) for n in PLAYERS]
    claim = "In rock-paper-scissors Meta-MAPG is above Meta-PG with two, three and four players."
    return auc_by(options, "fig6c", "More players", claim, rows)


def _fig6d(options: Options) -> Path:
    algorithms = ("meta-mapg", "meta-mapg-without-own", "meta-mapg-without-peer")
    rows = [("", [trained(options, "ipd", each) for each in algorithms])]
    claim = "Without the own-learning or without the peer-learning gradient Meta-MAPG is worse."
    return auc_by(options, "fig6d", "Ablations", claim, rows)


def _table_ood(options: Options) -> Path:
    def pair(**changes: Any) -> list[Trained]:
        return [trained(options, "ipd", each, **changes) for each in ("meta-mapg", "meta-pg")]

    rows = [("in distribution", pair()), ("out of distribution", pair(personas="out-of-distribution"))]
    claim = (
        "Meta-MAPG is above Meta-PG, by 7.6 in distribution, by 3.5 on personas from ranges that training hardly saw."
    )
    return auc_by(options, "table-ood", "Out-of-distribution personas", claim, rows)


def _from_scratch(options: Options, game: str, algorithm: str, **changes: Any) -> Trained:
    """An algorithm that was not meta-trained: it learns in the chain only, from its first parameters."""
    label = f"{TITLES[algorithm]} from scratch"
    return trained(options, game, algorithm, label, actor_lr=0.0, iterations=1, **changes)


def _report(options: Options, name: str, title: str) -> Report:
    return Report(options.out / name, f"{name}: {title}", command(name, options))


def _auc(tested: Tested, group: str | None) -> Tensor:
    """Each seed's AUC (seeds,), against one kind of peer or all."""
    if group is None:
        return tested.auc
    members = [test.groups == test.group_names.index(group) for test in tested.tests]
    return torch.stack([test.auc[m].mean() for test, m in zip(tested.tests, members, strict=True)])


def _above(setting: str, leader: Tested, follower: Tested) -> Check:
    return _apart(f"{setting}: {leader.label}" if setting else leader.label, leader.auc, follower.label, follower.auc)


def _apart(leader: str, high: Tensor, follower: str, low: Tensor) -> Check:
    """That two intervals of AUC lie apart: the distance between their facing ends."""
    (mean, half), (other, other_half) = confidence_interval(high), confidence_interval(low)
    what = f"AUC of {leader} ({_told(mean, half)}) over {follower} ({_told(other, other_half)})"
    return Check(f"{what}: distance between the intervals' ends", (mean - half) - (other + other_half), 0, _FAR)


def _told(mean: float, half: float) -> str:
    """An interval with at least two of its digits."""
    decimals = max(2, 1 - math.floor(math.log10(half))) if half > 0 else 2
    return f"{mean:+.{decimals}f} ± {half:.{decimals}f}"


def _write_rewards(report: Report, tested: Sequence[Tested]) -> None:
    rows = [
        (each.label, run.seed, row["peers"], row["position"], row["reward"], row["interval"])
        for each in tested
        for run, test in zip(each.runs, each.tests, strict=True)
        for row in test.rows()
    ]
    report.table("rewards.csv", ["algorithm", "seed", "peers", "position", "reward", "interval_over_personas"], rows)


def _draw_rewards(report: Report, tested: Sequence[Tested], group: str | None) -> None:
    figure, axis = pyplot().subplots(figsize=(5.4, 3.8))
    for index, each in enumerate(tested):
        kind = None if group is None else each.tests[0].group_names.index(group)
        draw_band(axis, each.tests, kind, each.label, f"C{index}")
    axis.set(xlabel="position in the chain of joint policies", ylabel="mean reward a step")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save_figure(figure, report.folder / "figure.png")


def _write_auc(report: Report, tested: Sequence[tuple[str, Sequence[Tested]]]) -> None:
    rows = [
        (setting, each.label, run.seed, float(auc))
        for setting, algorithms in tested
        for each in algorithms
        for run, auc in zip(each.runs, each.auc, strict=True)
    ]
    report.table("auc.csv", ["setting", "algorithm", "seed", "auc"], rows)


def _draw_auc(report: Report, tested: Sequence[tuple[str, Sequence[Tested]]]) -> None:
    figure, axis = pyplot().subplots(figsize=(1.6 + 1.1 * sum(len(a) + 0.5 for _, a in tested) ** 0.9, 3.8))
    labels = list(dict.fromkeys(each.label for _, algorithms in tested for each in algorithms))
    place, ticks = count(), []
    for setting, algorithms in tested:
        left = next(place)
        for each in algorithms:
            at = next(place)
            mean, half = confidence_interval(each.auc)
            first = each.label not in axis.get_legend_handles_labels()[1]
            color = f"C{labels.index(each.label)}"
            axis.bar(at, mean, yerr=half, capsize=3, color=color, label=each.label if first else None)
        ticks.append((left + 1 + (len(algorithms) - 1) / 2, setting))
    axis.set_xticks([at for at, _ in ticks], [setting for _, setting in ticks])
    axis.set_ylabel("AUC, the sum of rewards over l = 1..L")
    axis.axhline(0, color="0.5", lw=0.8)
    axis.legend(fontsize=8)
    save_figure(figure, report.folder / "figure.png")


_IPD_CLAIM = "Meta-MAPG earns more than Meta-PG, LOLA-DiCE and REINFORCE against peers that begin as {}."
_RPS_CLAIM = (
    "Meta-MAPG loses slightly at first, then wins more than Meta-PG, LOLA-DiCE and REINFORCE, which fall to zero."
)

FIGURES = (
    *(
        Figure(
            name,
            f"reward by chain position, IPD, {group} peers",
            _IPD_CLAIM.format(f"{group} ones"),
            6,
            partial(reward_by_position, name=name, game="ipd", group=group, claim=_IPD_CLAIM.format(f"{group} ones")),
        )
        for name, group in (("fig5a", "cooperative"), ("fig5b", "defective"))
    ),
    Figure(
        "fig5c",
        "reward by chain position, RPS",
        _RPS_CLAIM,
        12,
        partial(reward_by_position, name="fig5c", game="rps", group=None, claim=_RPS_CLAIM),
    ),
    Figure("fig5d", "reward by chain position, HalfCheetah", "the meta-learners above the others", 45, _fig5d),
    Figure("fig6a", "AUC against K = 4..64, IPD", "more trajectories help; Meta-MAPG leads at every K", 12, _fig6a),
    Figure("fig6b", "opponent modelling, IPD", "between Meta-PG and the centralised Meta-MAPG", 3, _fig6b),
    Figure("fig6c", "RPS with 2, 3 and 4 players", "Meta-MAPG above Meta-PG each time", 20, _fig6c),
    Figure("fig6d", "ablations, IPD", "both are worse than Meta-MAPG", 3, _fig6d),
    Figure("table-ood", "out-of-distribution personas, IPD", "Meta-MAPG still above Meta-PG", 3, _table_ood),
)
