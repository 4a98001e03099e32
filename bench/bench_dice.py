"""DiCE's value, gradient and Hessian-vector product, 150 steps of 64 trajectories, one thread."""

from __future__ import annotations

import pytest
import torch

from mamrl import ops
from mamrl.ops import reference

DISCOUNT = 0.96
pytestmark = pytest.mark.benchmark(group="DiCE value, gradient, HVP [150, 64]")


@pytest.fixture
def example(threads):
    torch.manual_seed(0)
    return tuple(torch.randn(150, 64) for _ in range(4))


def by_autograd(objective, log_probs, rewards, baseline, vector):
    leaf = log_probs.requires_grad_()
    value = objective(leaf, rewards, baseline, DISCOUNT)
    (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
    (product,) = torch.autograd.grad(gradient, leaf, vector)
    return value, gradient, product


def by_magic_boxes(log_probs, rewards, baseline, discount):
    return reference.dice_objective(log_probs.unsqueeze(1), rewards.unsqueeze(1), baseline.unsqueeze(1), discount)


def by_ops(log_probs, rewards, baseline, vector):
    return ops.dice_derivatives(log_probs, rewards, baseline, vector, DISCOUNT)


def test_mamrl(benchmark, example):
    """The three numbers for themselves, without a graph."""
    benchmark(by_ops, *example)


def test_mamrl_by_autograd(benchmark, example):
    """As the inner step calls them: most of it is torch.autograd.grad, twice."""
    benchmark(by_autograd, ops.dice_objective, *example)


def test_rival_autograd_of_magic_boxes(benchmark, example):
    benchmark(by_autograd, by_magic_boxes, *example)


def test_all_compute_the_same(example):
    expected = by_autograd(by_magic_boxes, *example)
    for results in (by_ops(*example), by_autograd(ops.dice_objective, *example)):
        for actual, reached in zip(results, expected, strict=True):
            torch.testing.assert_close(actual, reached.reshape(actual.shape), rtol=1e-4, atol=1e-4)
