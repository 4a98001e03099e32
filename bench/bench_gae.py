"""Generalized advantages of 150 steps, one thread."""

from __future__ import annotations

import pytest
import torch

from bench.rivals import gae as rival
from mamrl import ops
from mamrl.ops import reference

DISCOUNT, GAE_LAMBDA = 0.96, 0.95
SMALL, LARGE = (pytest.param(k, marks=pytest.mark.benchmark(group=f"gae [150, {k}]")) for k in (64, 4096))
BATCHES = pytest.mark.parametrize("batch", [SMALL, LARGE])


@pytest.fixture
def example(threads, batch):
    torch.manual_seed(0)
    return torch.randn(150, batch), torch.randn(151, batch)


@BATCHES
def test_mamrl(benchmark, example):
    benchmark(ops.gae, *example, DISCOUNT, GAE_LAMBDA)


@BATCHES
def test_rival_published_shape(benchmark, example):
    benchmark(rival.published_shape, *example, DISCOUNT, GAE_LAMBDA)


@BATCHES
def test_rival_torch_loop(benchmark, example):
    benchmark(rival.expert_loop, *example, DISCOUNT, GAE_LAMBDA)


@BATCHES
def test_rival_numpy_loop(benchmark, example):
    benchmark(rival.numpy_loop, *(x.numpy() for x in example), DISCOUNT, GAE_LAMBDA)


@BATCHES
def test_rival_matrix_product(benchmark, example):
    benchmark(rival.matrix_product, *example, DISCOUNT, rival.powers_matrix(150, DISCOUNT * GAE_LAMBDA))


@pytest.mark.parametrize("batch", [64])
def test_rivals_compute_the_same(example):
    expected = reference.gae(*example, None, None, None, DISCOUNT, GAE_LAMBDA)
    for actual in (
        rival.published_shape(*example, DISCOUNT, GAE_LAMBDA),
        rival.expert_loop(*example, DISCOUNT, GAE_LAMBDA),
        torch.from_numpy(rival.numpy_loop(*(x.numpy() for x in example), DISCOUNT, GAE_LAMBDA)),
        rival.matrix_product(*example, DISCOUNT, rival.powers_matrix(150, DISCOUNT * GAE_LAMBDA)),
    ):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
