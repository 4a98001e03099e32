"""The LSTM(64) of one chain position, K=64, H=150, one thread: first and second derivative of recorded trajectories."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mamrl import ops
from mamrl.ops import reference

HORIZON, TRAJECTORIES, UNITS, NUM_STATES, OUTPUTS = 150, 64, 64, 5, 2


@pytest.fixture
def example(threads):
    torch.manual_seed(0)
    weights = [
        0.3 * torch.randn(1, NUM_STATES, 4 * UNITS),
        torch.randn(1, 4 * UNITS, UNITS) / 8,
        torch.randn(1, OUTPUTS, UNITS) / 8,
        torch.zeros(1, OUTPUTS),
    ]
    return torch.randint(NUM_STATES, (HORIZON, 1, TRAJECTORIES)), [w.requires_grad_() for w in weights]


def eager(table: Tensor, states: Tensor, recurrent: Tensor, head: Tensor, bias: Tensor) -> Tensor:
    """An expert's: every step's inputs at once, a fused cell, the head within the step.

    With the head after the stacked hidden states the double backward would fill a (T, K, N) tensor a step.
    """
    inputs = table[0][states[:, 0]].unbind(0)
    hidden = cell = table.new_zeros(states.shape[2], recurrent.shape[2])
    weight, outputs = recurrent[0].T, []
    for step in inputs:
        i, f, g, o = torch.addmm(step, hidden, weight).chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(torch.addmm(bias[0], hidden, head[0].T))
    return torch.stack(outputs).unsqueeze(1)


def first(function: Callable[..., Tensor], states: Tensor, weights: list[Tensor]) -> tuple[Tensor, ...]:
    outputs = function(weights[0], states, *weights[1:])
    return torch.autograd.grad(outputs.square().mean(), weights)


def second(function: Callable[..., Tensor], states: Tensor, weights: list[Tensor]) -> tuple[Tensor, ...]:
    outputs = function(weights[0], states, *weights[1:])
    grads = torch.autograd.grad(outputs.square().mean(), weights, create_graph=True)
    return torch.autograd.grad(sum(grad.square().sum() for grad in grads), weights)


DERIVATIVES = pytest.mark.parametrize(
    "derivative",
    [
        pytest.param(first, marks=pytest.mark.benchmark(group="LSTM(64) forward, backward, K=64 H=150")),
        pytest.param(second, marks=pytest.mark.benchmark(group="LSTM(64) forward, backward, double, K=64 H=150")),
    ],
)


@DERIVATIVES
def test_mamrl(benchmark, example, derivative):
    benchmark(derivative, ops.lstm, *example)


@DERIVATIVES
def test_rival_eager(benchmark, example, derivative):
    benchmark(derivative, eager, *example)


@pytest.mark.parametrize("derivative", [first, second])
def test_rival_computes_the_same(example, derivative):
    torch.testing.assert_close(derivative(eager, *example), derivative(reference.lstm, *example), rtol=1e-3, atol=1e-6)
