"""Both players' values and Jacobians in the iterated prisoner's dilemma, one thread."""

from __future__ import annotations

import pytest
import torch

from mamrl.games.differentiable import iterated_prisoners_dilemma
from mamrl.ops.iterated_2x2 import iterated_2x2

GAME = iterated_prisoners_dilemma()
SMALL, LARGE = (pytest.param(b, marks=pytest.mark.benchmark(group=f"iterated 2x2 [{b}]")) for b in (128, 4096))
BATCHES = pytest.mark.parametrize("batch", [SMALL, LARGE])


@pytest.fixture
def example(threads, batch):
    torch.manual_seed(0)
    return [torch.randn(batch, 5) for _ in range(2)]


@BATCHES
def test_mamrl(benchmark, example):
    benchmark(iterated_2x2, *example, torch.tensor(GAME.payoffs), GAME.discount)


@BATCHES
def test_reference(benchmark, example):
    def by_autograd():
        x = [p.requires_grad_() for p in example]
        values = GAME.values(x)
        return [torch.autograd.grad(value.sum(), x, retain_graph=True) for value in values]

    benchmark(by_autograd)
