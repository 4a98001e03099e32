"""GRU(64) and GRU(128) over dense observations, K=512 trajectories of one agent or K=32 of each of sixteen, T=50."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mamrl import ops
from mamrl.ops import reference

HORIZON, INPUTS, OUTPUTS = 50, 36, 4


class Example(NamedTuple):
    observations: Tensor  # (T, M, K, I)
    modules: list[nn.Module]  # of each chain, a GRU and a head

    def weights(self) -> list[Tensor]:
        return [weight for module in self.modules for weight in module.parameters()]


@pytest.fixture
def example(threads, chains, trajectories, units):
    torch.manual_seed(0)
    modules = [nn.ModuleList([nn.GRU(INPUTS, units), nn.Linear(units, OUTPUTS)]) for _ in range(chains)]
    return Example(torch.randn(HORIZON, chains, trajectories, INPUTS), modules)


def stacked(example: Example) -> tuple[Tensor, ...]:
    """Weights with a leading M: of the inputs, their bias, then those of ops.gru."""
    per_chain = []
    for gru, head in example.modules:
        inputs, recurrent, bias, recurrent_bias = gru.parameters()
        units = recurrent.shape[1]
        # what the reset gate does not multiply belongs to the inputs
        bias = bias + nn.functional.pad(recurrent_bias[: 2 * units], (0, units))
        per_chain.append((inputs, bias, recurrent, recurrent_bias[2 * units :], *head.parameters()))
    return tuple(map(torch.stack, zip(*per_chain, strict=True)))


def gate_inputs(example: Example, weight: Tensor, bias: Tensor) -> Tensor:
    """Of all times at once, one product a chain: (M, T K, 3N)."""
    return torch.baddbmm(bias.unsqueeze(1), example.observations.transpose(0, 1).flatten(1, 2), weight.mT)


def by_time(inputs: Tensor) -> Tensor:
    return inputs.unflatten(1, (HORIZON, -1)).transpose(0, 1)


def kernel(example: Example) -> Tensor:
    weight, bias, *weights = stacked(example)
    return ops.gru(by_time(gate_inputs(example, weight, bias)), None, *weights)


def twin(example: Example) -> Tensor:
    weight, bias, *weights = stacked(example)
    return reference.gru(by_time(gate_inputs(example, weight, bias)), None, *weights)


def nn_gru(example: Example) -> Tensor:
    """torch's own, which has no per-chain weights: one after the other."""
    each = zip(example.modules, example.observations.unbind(1), strict=True)
    return torch.stack([head(gru(observations)[0]) for (gru, head), observations in each], dim=1)


def eager(example: Example) -> Tensor:
    """An expert's: all inputs at once, a fused product a step over all chains, the head over all steps."""
    weight, bias, recurrent, recurrent_bias, head, head_bias = stacked(example)
    inputs = by_time(gate_inputs(example, weight, bias))
    units = recurrent.shape[-1]
    hidden, states = inputs.new_zeros(*inputs.shape[1:3], units), []
    transposed = recurrent.mT
    last = nn.functional.pad(recurrent_bias, (2 * units, 0)).unsqueeze(1)
    for step in inputs:
        x_gates, x_n = step.split([2 * units, units], dim=-1)
        h_gates, h_n = torch.baddbmm(last, hidden, transposed).split([2 * units, units], dim=-1)
        r, z = torch.sigmoid(x_gates + h_gates).chunk(2, dim=-1)
        hidden = torch.lerp(torch.tanh(torch.addcmul(x_n, r, h_n)), hidden, z)
        states.append(hidden)
    return torch.stack(states) @ head.mT + head_bias.unsqueeze(1)


def forward(function, example: Example) -> Tensor:
    with torch.no_grad():
        return function(example)


def both(function, example: Example) -> tuple[Tensor, ...]:
    return torch.autograd.grad(function(example).square().mean(), example.weights())


def sizes(units: int, chains: int, trajectories: int):
    group = f"GRU({units}) M={chains} K={trajectories} T={HORIZON}"
    return [
        pytest.param(way, units, chains, trajectories, marks=pytest.mark.benchmark(group=f"{group} {what}"))
        for way, what in ((forward, "forward"), (both, "forward, backward"))
    ]


CASES = pytest.mark.parametrize(
    ("way", "units", "chains", "trajectories"),
    [case for units in (64, 128) for shape in ((1, 512), (16, 32)) for case in sizes(units, *shape)],
)


@CASES
def test_mamrl(benchmark, example, way):
    benchmark(way, kernel, example)


@CASES
def test_rival_nn_gru(benchmark, example, way):
    benchmark(way, nn_gru, example)


@CASES
def test_rival_eager(benchmark, example, way):
    benchmark(way, eager, example)


@pytest.mark.parametrize(("units", "chains", "trajectories"), [(8, 1, 5), (8, 3, 2)])
def test_all_compute_the_same(example):
    expected = both(twin, example)
    for function in (kernel, nn_gru, eager):
        torch.testing.assert_close(both(function, example), expected, rtol=1e-3, atol=1e-6)
