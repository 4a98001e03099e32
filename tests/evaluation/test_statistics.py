"""Intervals: against tables of Student's t, hand calculations and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mamrl.evaluation.statistics import (
    confidence_interval,
    half_width,
    interquartile_mean,
    paired_difference,
    stratified_bootstrap,
)


@pytest.mark.parametrize(("count", "quantile"), [(2, 12.706), (3, 4.303), (5, 2.776), (31, 2.042), (121, 1.980)])
def test_the_interval_is_students(count, quantile):
    samples = torch.arange(count, dtype=torch.float64)
    mean, half = confidence_interval(samples)
    assert mean == pytest.approx((count - 1) / 2)
    assert half == pytest.approx(quantile * float(samples.std()) / count**0.5, rel=1e-3)


def test_one_sample_has_no_interval_and_none_no_mean():
    assert math.isnan(confidence_interval(torch.tensor([1.0]))[1])
    with pytest.raises(ValueError, match="samples are empty"):
        confidence_interval(torch.zeros(0))
    with pytest.raises(ValueError, match=r"level is 1\.5"):
        confidence_interval(torch.zeros(3), level=1.5)


def test_half_widths_are_taken_row_by_row():
    table = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = [confidence_interval(row)[1] for row in table]
    assert half_width(table).tolist() == pytest.approx(expected)


def test_pairs_that_share_their_noise_differ_beyond_doubt():
    shared = np.random.default_rng(0).normal(0, 10, 8)
    mean, half = paired_difference(shared + 1 + 0.01 * np.arange(8), shared)
    assert mean == pytest.approx(1.035)
    assert half < 0.05
    with pytest.raises(ValueError, match="paired samples have shapes"):
        paired_difference([1.0, 2.0], [1.0])


def test_the_interquartile_mean_cuts_a_quarter_at_either_end():
    assert interquartile_mean([-1000.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0]) == pytest.approx(3.5)


def test_the_bootstrap_keeps_tasks_apart_and_covers_the_truth():
    """Two tasks far apart: an interval that mixed them would be wide; this one is narrow, and holds the truth."""
    generator, hits, widths = np.random.default_rng(0), 0, []
    for trial in range(100):
        samples = np.array([[0.0], [100.0]]) + generator.normal(size=(2, 20))
        _, low, high = stratified_bootstrap(samples, np.mean, resamples=200, seed=trial)
        hits += low <= 50.0 <= high
        widths.append(high - low)
    assert 85 <= hits <= 100
    assert np.mean(widths) < 1


def test_a_bootstrap_needs_a_table():
    with pytest.raises(ValueError, match="expected \\(tasks, seeds\\)"):
        stratified_bootstrap([1.0, 2.0])
