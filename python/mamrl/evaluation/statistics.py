"""Means with their intervals: Student's t, bootstraps that keep groups together, and paired differences.

Everything here is by scipy; n is the number of independent samples, which for a comparison of algorithms is the number
of trained seeds and not that of personas or games (Agarwal et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

LEVEL = 0.95


def confidence_interval(samples: Tensor, level: float = LEVEL) -> tuple[float, float]:
    """Mean and half width of the interval of the mean by Student's t.

    Args:
        samples: (n,), independent.
        level: of confidence, within (0, 1).

    Returns:
        The mean, and half the interval's width: NaN for n = 1.

    Raises:
        ValueError: no samples, or a level outside (0, 1).
    """
    samples = torch.as_tensor(samples)
    if samples.numel() == 0:
        raise ValueError("samples are empty, expected at least one")
    return float(samples.mean()), float(half_width(samples.flatten(), level))


def half_width(samples: Tensor, level: float = LEVEL) -> Tensor:
    """Half of the width of the interval of means by Student's t.

    Args:
        samples: (..., n), independent along the last axis.
        level: of confidence, within (0, 1).

    Returns:
        (...), NaN for n = 1.

    Raises:
        ValueError: a level outside (0, 1).
    """
    from scipy import stats

    _check_level(level)
    count = samples.shape[-1]
    if count < 2:
        return samples.new_full(samples.shape[:-1], float("nan"))
    return float(stats.t.ppf(0.5 + level / 2, count - 1)) * samples.std(-1) / count**0.5


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Mean and half width of first - second by Student's t, where entry k of both shares its seed and its personas.

    Args:
        first: (n,) numbers.
        second: (n,) numbers, in the same order.
        level: of confidence, within (0, 1).

    Raises:
        ValueError: they are not of one length, or empty.
    """
    shapes = tuple(np.shape(first)), tuple(np.shape(second))
    if shapes[0] != shapes[1] or len(shapes[0]) != 1:
        raise ValueError(f"paired samples have shapes {shapes[0]} and {shapes[1]}, expected (n,) of both")
    pairs = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    return confidence_interval(torch.from_numpy(pairs[0] - pairs[1]), level)


def interquartile_mean(samples: ArrayLike) -> float:
    """The mean of the middle half: a quarter of the samples is cut at either end (Agarwal et al. 2021).

    Args:
        samples: numbers of any shape, at least one.
    """
    from scipy import stats

    values = np.asarray(samples, dtype=float).ravel()
    if values.size == 0:
        raise ValueError("samples are empty, expected at least one")
    return float(stats.trim_mean(values, 0.25))


def stratified_bootstrap(
    samples: ArrayLike,
    statistic: Callable[[ArrayLike], float] = interquartile_mean,
    level: float = LEVEL,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """A statistic of (tasks, seeds) with its percentile interval, seeds drawn with replacement within each task.

    Args:
        samples: (tasks, n): one row a task (a game, a kind of peer), one column a trained seed.
        statistic: of the whole table.
        level: of confidence, within (0, 1).
        resamples: how many tables are drawn.
        seed: of the draws.

    Returns:
        The statistic, and the ends of its interval.

    Raises:
        ValueError: samples are no table with at least two seeds, no resamples, or a level outside (0, 1).
    """
    _check_level(level)
    table = np.asarray(samples, dtype=float)
    if table.ndim != 2 or table.shape[1] < 2:
        raise ValueError(f"samples have shape {table.shape}, expected (tasks, seeds) with at least two seeds")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, expected at least 1")
    generator, rows = np.random.default_rng(seed), np.arange(len(table))[:, None]
    drawn = [statistic(table[rows, generator.integers(table.shape[1], size=table.shape)]) for _ in range(resamples)]
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return float(statistic(table)), float(low), float(high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, expected a number within (0, 1)")
