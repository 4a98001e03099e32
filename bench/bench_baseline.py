"""The linear baseline of 150 steps of 64 trajectories, returns and fit and prediction, one thread."""

from __future__ import annotations

import pytest
import torch

from bench.rivals import baseline as rival
from mamrl import ops

DISCOUNT = 0.96
SIZES = pytest.mark.parametrize(
    "size",
    [pytest.param(n, marks=pytest.mark.benchmark(group=f"linear_baseline 64 x 150 x {n}")) for n in (5, 17)],
)


@pytest.fixture
def example(threads, size):
    """Five observations are the states of a matrix game, one-hot; seventeen a robot's."""
    torch.manual_seed(0)
    if size == 5:
        observations = torch.nn.functional.one_hot(torch.randint(5, (150, 64)), 5).float()
    else:
        observations = torch.randn(150, 64, size)
    return observations, torch.randn(150, 64)


def mamrl_baseline(observations, rewards, num_states=None):
    return ops.linear_baseline(observations, ops.discounted_returns(rewards, DISCOUNT), num_states=num_states)


@SIZES
def test_mamrl(benchmark, example, size):
    """As the library calls it: a matrix game's states stay indices."""
    observations, rewards = example
    if size == 5:
        benchmark(mamrl_baseline, observations.argmax(-1), rewards, 5)
    else:
        benchmark(mamrl_baseline, observations, rewards)


@pytest.mark.parametrize("size", [pytest.param(5, marks=pytest.mark.benchmark(group="linear_baseline 64 x 150 x 5"))])
def test_mamrl_one_hot_vectors(benchmark, example):
    benchmark(mamrl_baseline, *example)


@SIZES
def test_rival_numpy(benchmark, example):
    benchmark(rival.expert_numpy, *(x.numpy() for x in example), DISCOUNT)


@SIZES
def test_rival_published_shape(benchmark, example):
    benchmark(rival.published_shape, *example, DISCOUNT)


@SIZES
def test_rivals_compute_the_same(example, size):
    expected = mamrl_baseline(*example)
    actual = torch.from_numpy(rival.expert_numpy(*(x.numpy() for x in example), DISCOUNT)).float()
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    if size == 17:  # float32 is not enough for the equations of one-hot vectors and their squares
        torch.testing.assert_close(rival.published_shape(*example, DISCOUNT), expected, rtol=1e-2, atol=1e-2)
