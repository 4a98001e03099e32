"""The populations of initial personas, seen through their two principal components: figure 7 of Kim et al. 2021."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mamrl.experiments.registry import Figure, Options
from mamrl.experiments.report import Check, Report, command
from mamrl.games import ipd, rock_paper_scissors
from mamrl.plotting import pyplot, save_figure
from mamrl.policies import TabularPolicy
from mamrl.populations.personas import SPLITS, Population, personas_for

MARKERS = {"train": ".", "validation": "+", "test": "x"}


def draw_populations(options: Options) -> Path:
    """Figure 7: personas of the prisoner's dilemma, in and out of distribution, and of rock-paper-scissors."""
    report = Report(options.out / "fig7", "fig7: populations of initial personas", command("fig7", options))
    panels = {
        "IPD": personas_for(ipd()),
        "IPD, out of distribution": personas_for(ipd(), ranges="out-of-distribution"),
        "RPS": personas_for(rock_paper_scissors()),
    }
    figure, axes = pyplot().subplots(1, len(panels), figsize=(4.4 * len(panels), 3.9))
    rows: list[tuple[object, ...]] = []
    checks = []
    for axis, (name, populations) in zip(axes, panels.items(), strict=True):
        probabilities = {split: _probabilities(population) for split, population in populations.items()}
        planes = principal_components(torch.cat(list(probabilities.values()))).split(
            [len(p) for p in populations.values()]
        )
        for split, plane in zip(SPLITS, planes, strict=True):
            population = populations[split]
            for group, label in enumerate(population.group_names):
                points = plane[population.groups == group]
                shown = f"{label}, {split}" if split != "validation" else None
                axis.scatter(*points.T.numpy(), s=14, marker=MARKERS[split], color=f"C{group}", label=shown, lw=0.8)
                rows += [(name, split, label, *point) for point in points.tolist()]
        checks.append(_separation(name, torch.cat(planes), torch.cat([populations[s].groups for s in SPLITS])))
        axis.set(title=name, xlabel="first principal component", ylabel="second principal component")
        axis.legend(fontsize=6)
    report.table("components.csv", ["population", "split", "group", "first", "second"], rows)
    save_figure(figure, report.folder / "figure.png")
    notes = ["Components are those of the action probabilities by state, all splits together."]
    claim = "Each kind of persona is a cloud of its own; out of distribution the test's lie apart from the training's."
    return report.verdict(claim, checks, notes)


def principal_components(rows: Tensor) -> Tensor:
    """Coordinates (N, 2) of rows (N, D) along their two directions of largest variance."""
    centred = rows - rows.mean(0)
    return centred @ torch.linalg.svd(centred, full_matrices=False)[2][:2].T


def _probabilities(population: Population) -> Tensor:
    """Action probabilities by state, (personas, S * A)."""
    width, actions = population.parameters.shape[1], len(population.group_names)
    policy = TabularPolicy(width if actions == 2 else width // actions, actions)
    return torch.softmax(policy.table(population.parameters), dim=-1).flatten(1)


def _separation(name: str, plane: Tensor, groups: Tensor) -> Check:
    """How many personas are nearer to their own group's centre than to another's, in the plane."""
    centres = torch.stack([plane[groups == group].mean(0) for group in groups.unique()])
    nearest = torch.cdist(plane, centres).argmin(1)
    return Check(
        f"{name}: share of personas nearest to their own group's centre",
        float((nearest == groups).float().mean()),
        0.95,
        1,
    )


FIGURES = (
    Figure("fig7", "populations of initial personas (PCA)", "each kind is a cloud of its own", 0.1, draw_populations),
)
