"""Action probabilities through the chain of joint policies: figures 9 to 16 of Kim et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mamrl.evaluation import MetaTest
from mamrl.experiments.adaptation import BASELINES
from mamrl.experiments.matrix_runs import Tested, meta_test_all, notes_on, trained
from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command
from mamrl.plotting import pyplot, save_figure

NAME = "fig9-fig16"


def action_dynamics(options: Options) -> Path:
    """A panel for each algorithm, kind of peer and player: how often it cooperates, state by state."""
    report = Report(options.out / NAME, f"{NAME}: action probabilities in the IPD", command(NAME, options))
    tested = meta_test_all([trained(options, "ipd", each) for each in ("meta-mapg", *BASELINES)], options)
    states = tested[0].runs[0].setting.game.state_names()
    kinds = tested[0].tests[0].group_names
    figure, axes = pyplot().subplots(
        len(tested), 2 * len(kinds), figsize=(13, 2.5 * len(tested)), sharex=True, sharey=True
    )
    rows: list[tuple[object, ...]] = []
    for line, each in zip(axes, tested, strict=True):
        shares, visits = cooperation(each)
        for index, axis in enumerate(line):
            group, player = divmod(index, 2)
            who = ("meta-agent", "peer")[player]
            for state, name in enumerate(states):
                axis.plot(shares[group, :, player, state].numpy(), label=name, marker=".", ms=4)
            axis.set_title(
                f"{each.label}: {who} against {kinds[group]}" if player == 0 else f"its {kinds[group]} peer", fontsize=8
            )
            rows += [
                (
                    each.label,
                    kinds[group],
                    who,
                    position,
                    name,
                    shares[group, position, player, state].item(),
                    visits[group, position, player, state].item(),
                )
                for position in range(shares.shape[1])
                for state, name in enumerate(states)
            ]
    axes[0][-1].legend(
        fontsize=7, title="state, own action first", title_fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1)
    )
    for axis in axes[-1]:
        axis.set_xlabel("position in the chain")
    for line in axes:
        line[0].set_ylabel("frequency of cooperation", fontsize=8)
    save_figure(figure, report.folder / "figure.png")
    header = ["algorithm", "peers", "player", "position", "state", "cooperation", "visits"]
    report.table("cooperation.csv", header, rows)
    return report.verdict(
        "Meta-MAPG cooperates conditionally and brings its peers to cooperate; Meta-PG and REINFORCE end in defection.",
        [
            _rate(each, player, low, high)
            for each, player, low, high in (
                (tested[0], 1, 0.5, 1.0),
                (tested[1], 1, 0.0, 0.5),
                (tested[3], 0, 0.0, 0.1),
            )
        ],
        [
            *notes_on(options, tested),
            "Frequencies over all personas and seeds; a state that was never visited has no value.",
        ],
    )


def cooperation(tested: Tested) -> tuple[Tensor, Tensor]:
    """Frequency of action 0 by state and the visits it is taken over, both (groups, L + 1, 2, S), over all seeds."""
    counts = _counts(tested.tests)
    visits = counts.sum(-1)
    return counts[..., 0] / visits, visits


def _counts(tests: Sequence[MetaTest]) -> Tensor:
    return torch.stack([test.action_frequencies for test in tests]).sum(0)


def _rate(tested: Tested, player: int, low: float, high: float) -> Check:
    """How often a player cooperates at the last position, whatever the state and the kind of peer."""
    counts = _counts(tested.tests).sum(0)[-1, player].sum(0)
    who = ("the agent", "its peer")[player]
    return Check(f"{tested.label}: how often {who} cooperates in tau_L", float(counts[0] / counts.sum()), low, high)


FIGURES = (
    Figure(
        NAME,
        "action probabilities through the chain, IPD",
        "Meta-MAPG cooperates conditionally and shapes its peers",
        6,
        action_dynamics,
    ),
)
