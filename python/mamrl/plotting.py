"""Figures. matplotlib is an extra: it is asked for here only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mamrl.checkpoint import write_whole
from mamrl.evaluation import MetaTest, confidence_interval
from mamrl.training.runs import learning_curve

if TYPE_CHECKING:
    from mamrl.evaluation.diagnosis import Diagnosis
    from mamrl.populations.teammates import Teammates
    from mamrl.training.runs import Run

TITLES = {
    "meta-mapg": "Meta-MAPG",
    "meta-pg": "Meta-PG",
    "meta-mapg-without-own": "without own learning",
    "meta-mapg-without-peer": "without peer learning",
    "reinforce": "REINFORCE",
    "lola-dice": "LOLA-DiCE",
}


def pyplot() -> Any:
    """matplotlib.pyplot on a backend that needs no screen.

    Raises:
        ImportError: matplotlib is missing; says how to install it.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'mamrl[plot]'") from None
    return plt


def save_figure(figure: Any, path: str | Path) -> None:
    """Writes a figure whole, in the format of its suffix."""
    write_whole(Path(path), lambda temporary: figure.savefig(temporary, dpi=150, bbox_inches="tight"))
    pyplot().close(figure)


def curve_label(run: Run) -> str:
    """The algorithm, and the agent where it is not the papers' LSTM."""
    experiment = run.setting.experiment
    agents = {"lstm": "", "tabular": ", tabular", "tabular-exact": ", exact values"}
    return TITLES.get(experiment.algorithm, experiment.algorithm) + agents[experiment.agent]


def plot_diagnosis(diagnosis: Diagnosis, path: str | Path) -> None:
    """Three panels: the samples' norms beside their cosine, growth along the chain, and the terms' shares."""
    figure, (norms, growth, shares) = pyplot().subplots(1, 3, figsize=(12, 3.6))
    personas = diagnosis.personas
    names = [f"{p.group} {i}" for i, p in enumerate(personas)]
    for i, persona in enumerate(personas):
        norms.plot([i] * len(persona.norms), persona.norms, "o", color=f"C{i}", alpha=0.6)
        norms.annotate(f"{persona.cosine:+.2f}", (i, float(persona.norms.max())), (0, 6), textcoords="offset points")
        growth.plot(persona.growth, "o-", color=f"C{i}", label=names[i])
    norms.set(yscale="log", ylabel="norm of a sample (cosine above)")
    growth.set(yscale="log", xlabel="chain position", ylabel="largest singular value of d phi_l / d phi_0")
    growth.legend(fontsize=7)
    for j, term in enumerate(("current", "own", "peers")):
        places = [i + 0.25 * (j - 1) for i in range(len(personas))]
        shares.bar(places, [p.shares[term] for p in personas], width=0.25, label=term)
    shares.set(ylabel="share of the gradient along itself")
    shares.legend(fontsize=7)
    for axis in (norms, shares):
        axis.set_xticks(range(len(names)), names, rotation=30, fontsize=7)
    figure.tight_layout()
    save_figure(figure, path)


def plot_adaptation(
    tests: Sequence[tuple[Run, MetaTest]], path: str | Path, labels: Sequence[str] | None = None
) -> None:
    """Reward by chain position, one panel for each group of peers (Kim et al. 2021, figures 5a and 5b).

    Args:
        tests: runs and their meta-tests; runs with the same label make one curve.
        path: where the picture goes.
        labels: one a run; None is :func:`curve_label`.

    Raises:
        ValueError: the runs played different games.
    """
    plt = pyplot()
    games = {run.setting.experiment.game for run, _ in tests}
    if len(games) != 1:
        raise ValueError(f"the runs played different games ({', '.join(sorted(games))}); plot them apart")
    curves: dict[str, list[MetaTest]] = {}
    for label, (_, test) in zip(labels or [curve_label(run) for run, _ in tests], tests, strict=True):
        curves.setdefault(label, []).append(test)
    names = tests[0][1].group_names
    figure, axes = plt.subplots(1, len(names), figsize=(4.6 * len(names), 3.6), sharey=True, squeeze=False)
    for group, (name, axis) in enumerate(zip(names, axes[0], strict=True)):
        for index, (label, results) in enumerate(curves.items()):
            draw_band(axis, results, group, label, f"C{index}")
        axis.set_title(f"against {name} peers")
        axis.set_xlabel("position in the chain of joint policies")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("mean reward a step")
    axes[0][-1].legend(fontsize=8)
    save_figure(figure, path)


def plot_learning(runs: Sequence[Run], path: str | Path, labels: Sequence[str] | None = None) -> None:
    """Validation AUC by iteration, one curve a run.

    Args:
        runs: with their folders, whose logs are read.
        path: where the picture goes.
        labels: one a run; None is :func:`curve_label`.
    """
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(6.0, 3.8))
    for name, run in zip(labels or [curve_label(run) for run in runs], runs, strict=True):
        label = f"{name}, {run.path.name}" if run.path else name
        axis.plot(*zip(*learning_curve(run), strict=True), marker="o", markersize=3, label=label)
    axis.set_xlabel("iteration")
    axis.set_ylabel("AUC on the validation personas")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save_figure(figure, path)


def draw_band(axis: Any, results: Sequence[MetaTest], group: int | None, label: str, color: str) -> None:
    """One algorithm's mean reward by chain position with its 95% interval, over runs or, of one run, over personas.

    Args:
        axis: matplotlib's.
        results: one meta-test a run.
        group: which of the peers' groups; None is all of them.
        label: for the legend.
        color: of the curve.
    """
    samples = [test.rewards.mean(0)[:, slice(None) if group is None else test.groups == group] for test in results]
    table: Tensor = torch.stack([s.mean(-1) for s in samples], dim=-1) if len(samples) > 1 else samples[0]
    intervals = [confidence_interval(row) for row in table]
    mean = torch.tensor([m for m, _ in intervals])
    half = torch.tensor([h for _, h in intervals]).nan_to_num()
    positions = torch.arange(len(mean))
    axis.plot(positions.numpy(), mean.numpy(), color=color, label=label, marker="o", markersize=3)
    axis.fill_between(positions.numpy(), (mean - half).numpy(), (mean + half).numpy(), color=color, alpha=0.2, lw=0)


def plot_teammates(teammates: Teammates, path: str | Path) -> None:
    """Expertise by iteration and its distribution by split, and the parameters' two principal components.

    What Kim et al. 2021 show of their population in figure 8: whether it holds beginners and experts.
    """
    plt = pyplot()
    figure, (curve, histogram, plane) = plt.subplots(1, 3, figsize=(13, 3.6))
    iterations, expertise = teammates.iterations.numpy(), teammates.expertise.numpy()
    curve.plot(iterations, expertise, color="0.6", lw=1)
    centred = teammates.parameters - teammates.parameters.mean(0)
    # rows of zeros, so that there are two components however few checkpoints there are
    padded = torch.cat([centred, centred.new_zeros(2, centred.shape[1])])
    components = (centred @ torch.pca_lowrank(padded, q=2, center=False)[2]).numpy()
    bins = torch.linspace(float(expertise.min()), float(expertise.max()) + 1e-9, 21).numpy()
    for index, split in enumerate(("train", "validation", "test")):
        members = teammates.members(split)
        curve.scatter(iterations[members], expertise[members], s=8, color=f"C{index}", label=split)
        histogram.hist(expertise[members], bins=bins, color=f"C{index}", alpha=0.6, label=split)
        plane.scatter(*components[members].T, s=8, color=f"C{index}")
    curve.set(xlabel="iteration of pre-training", ylabel="mean reward a step, running left")
    histogram.set(xlabel="mean reward a step, running left", ylabel="checkpoints")
    plane.set(xlabel="first principal component", ylabel="second principal component")
    curve.legend(fontsize=8)
    save_figure(figure, path)


def plot_crossplay(names: Sequence[str], rewards: Tensor, path: str | Path) -> None:
    """Heat map of the row's mean reward a step against the column's.

    Args:
        names: of the entrants.
        rewards: (N, N, 2), see :func:`mamrl.evaluation.crossplay.cross_play`.
        path: where the picture goes.
    """
    size = 2.5 + 0.55 * len(names)
    figure, axis = pyplot().subplots(figsize=(size + 1, size))
    picture = axis.imshow(rewards[..., 0].numpy(), cmap="viridis")
    for i in range(len(names)):
        for j in range(len(names)):
            axis.text(j, i, f"{rewards[i, j, 0]:.2f}", ha="center", va="center", color="white", fontsize=7)
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set(xlabel="against", title="mean reward a step of the row's agent")
    figure.colorbar(picture, fraction=0.046)
    save_figure(figure, path)
