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
    """matplotlib.pyplot, on whatever backend the user has; where there is no screen, matplotlib takes one without.

    Raises:
        ImportError: matplotlib is missing; says how to install it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'mamrl[plot]'") from None
    return plt


def save_figure(figure: Any, path: str | Path | None) -> Any:
    """Writes a figure whole, in the format of its suffix, and returns it.

    Args:
        figure: matplotlib's; it leaves pyplot's list of open figures, so that a notebook shows it once, as the value of
            its cell.
        path: where it goes, or None: nowhere.
    """
    if path is not None:
        write_whole(Path(path), lambda temporary: figure.savefig(temporary, dpi=150, bbox_inches="tight"))
    pyplot().close(figure)
    return figure


def _panels(count: int, size: tuple[float, float], axes: Any, **options: Any) -> tuple[Any, list[Any]]:
    """A new figure's panels, or the caller's, whose figure is left open."""
    if axes is None:
        figure, grid = pyplot().subplots(1, count, figsize=size, squeeze=False, **options)
        return figure, list(grid[0])
    panels = list(axes) if hasattr(axes, "__len__") else [axes]
    if len(panels) != count:
        raise ValueError(f"axes has {len(panels)} panels, expected {count}")
    return panels[0].figure, panels


def _finished(figure: Any, path: str | Path | None, axes: Any) -> Any:
    if axes is None:
        return save_figure(figure, path)
    if path is not None:
        write_whole(Path(path), lambda temporary: figure.savefig(temporary, dpi=150, bbox_inches="tight"))
    return figure


def curve_label(run: Run) -> str:
    """The algorithm, and the agent where it is not the papers' LSTM."""
    experiment = run.setting.experiment
    agents = {"lstm": "", "tabular": ", tabular", "tabular-exact": ", exact values"}
    return TITLES.get(experiment.algorithm, experiment.algorithm) + agents[experiment.agent]


def curves_of(runs: Sequence[Run], labels: Sequence[str] | None = None) -> dict[str, list[int]]:
    """Which runs make one curve: those of one label and one experiment, which differ in their seeds alone.

    Args:
        runs: any.
        labels: one a run; None is :func:`curve_label`.

    Returns:
        Indices by label; where experiments share a label, it says what differs.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, (label, run) in enumerate(zip(labels or [curve_label(run) for run in runs], runs, strict=True)):
        groups.setdefault((label, repr(sorted(run.setting.experiment.to_dict().items()))), []).append(index)
    curves = {}
    for (label, _), members in groups.items():
        sharing = [others for (name, _), others in groups.items() if name == label]
        namesakes = [runs[others[0]].setting.experiment.to_dict() for others in sharing]
        own = runs[members[0]].setting.experiment.to_dict()
        differing = [name for name in own if any(other[name] != own[name] for other in namesakes)]
        text = ", ".join(f"{name} = {own[name]}" for name in differing)
        curves[f"{label}, {text}" if text else label] = members
    return curves


def plot_diagnosis(diagnosis: Diagnosis, path: str | Path | None = None, *, axes: Any = None) -> Any:
    """Three panels: the samples' norms beside their cosine, growth along the chain, and the terms' shares.

    Args:
        diagnosis: what :func:`mamrl.evaluation.diagnosis.diagnose` measured.
        path: where the picture goes; None writes none.
        axes: three of matplotlib's to draw into, instead of a new figure.

    Returns:
        The figure.
    """
    figure, (norms, growth, shares) = _panels(3, (12, 3.6), axes)
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
    if axes is None:
        figure.tight_layout()
    return _finished(figure, path, axes)


def plot_adaptation(
    tests: Sequence[tuple[Run, MetaTest]],
    path: str | Path | None = None,
    labels: Sequence[str] | None = None,
    *,
    axes: Any = None,
) -> Any:
    """Reward by chain position, one panel for each group of peers (Kim et al. 2021, figures 5a and 5b).

    Args:
        tests: runs and their meta-tests; see :func:`curves_of` for which make one curve.
        path: where the picture goes; None writes none.
        labels: one a run; None is :func:`curve_label`.
        axes: matplotlib's to draw into, one a group, instead of a new figure.

    Returns:
        The figure.

    Raises:
        ValueError: the runs played different games.
    """
    games = {run.setting.experiment.game for run, _ in tests}
    if len(games) != 1:
        raise ValueError(f"the runs played different games ({', '.join(sorted(games))}); plot them apart")
    curves = curves_of([run for run, _ in tests], labels)
    names = tests[0][1].group_names
    figure, panels = _panels(len(names), (4.6 * len(names), 3.6), axes, sharey=True)
    for group, (name, axis) in enumerate(zip(names, panels, strict=True)):
        for index, (label, members) in enumerate(curves.items()):
            draw_band(axis, [tests[member][1] for member in members], group, label, f"C{index}")
        axis.set_title(f"against {name} peers")
        axis.set_xlabel("learning steps that both have taken (chain position)")
        axis.grid(alpha=0.3)
    panels[0].set_ylabel("mean reward a step")
    panels[-1].legend(fontsize=8)
    return _finished(figure, path, axes)


def plot_learning(
    runs: Sequence[Run], path: str | Path | None = None, labels: Sequence[str] | None = None, *, axes: Any = None
) -> Any:
    """Validation AUC by iteration; of several seeds the mean, with its 95% interval where all were validated.

    Args:
        runs: with their folders, whose logs are read; see :func:`curves_of` for which make one curve.
        path: where the picture goes; None writes none.
        labels: one a run; None is :func:`curve_label`.
        axes: one of matplotlib's to draw into, instead of a new figure.

    Returns:
        The figure.
    """
    figure, (axis,) = _panels(1, (6.0, 3.8), axes)
    for color, (label, members) in enumerate(curves_of(runs, labels).items()):
        by_seed = [dict(learning_curve(runs[member])) for member in members]
        iterations = sorted(set.intersection(*(set(curve) for curve in by_seed)))
        table = torch.tensor([[curve[iteration] for curve in by_seed] for iteration in iterations])
        name = f"{label} ({len(members)} seeds)" if len(members) > 1 else label
        axis.plot(iterations, table.mean(1), marker="o", markersize=3, color=f"C{color}", label=name)
        if len(members) > 1:
            half = torch.tensor([confidence_interval(row)[1] for row in table])
            low, high = table.mean(1) - half, table.mean(1) + half
            axis.fill_between(iterations, low, high, color=f"C{color}", alpha=0.2, lw=0)
    axis.set_xlabel("iteration")
    axis.set_ylabel("AUC on the validation personas")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return _finished(figure, path, axes)


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


def plot_teammates(teammates: Teammates, path: str | Path | None = None, *, axes: Any = None) -> Any:
    """Expertise by iteration and its distribution by split, and the parameters' two principal components.

    What Kim et al. 2021 show of their population in figure 8: whether it holds beginners and experts.

    Args:
        teammates: the population.
        path: where the picture goes; None writes none.
        axes: three of matplotlib's to draw into, instead of a new figure.

    Returns:
        The figure.
    """
    figure, (curve, histogram, plane) = _panels(3, (13, 3.6), axes)
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
    return _finished(figure, path, axes)


def plot_crossplay(names: Sequence[str], rewards: Tensor, path: str | Path | None = None, *, axes: Any = None) -> Any:
    """Heat map of the row's mean reward a step against the column's.

    Args:
        names: of the entrants.
        rewards: (N, N, 2), see :func:`mamrl.evaluation.crossplay.cross_play`.
        path: where the picture goes; None writes none.
        axes: one of matplotlib's to draw into, instead of a new figure.

    Returns:
        The figure.
    """
    size = 2.5 + 0.55 * len(names)
    figure, (axis,) = _panels(1, (size + 1, size), axes)
    picture = axis.imshow(rewards[..., 0].numpy(), cmap="viridis")
    for i in range(len(names)):
        for j in range(len(names)):
            axis.text(j, i, f"{rewards[i, j, 0]:.2f}", ha="center", va="center", color="white", fontsize=7)
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set(xlabel="against", title="mean reward a step of the row's agent")
    figure.colorbar(picture, ax=axis, fraction=0.046)
    return _finished(figure, path, axes)
