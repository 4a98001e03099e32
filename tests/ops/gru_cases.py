"""Random GRUs for the tests."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from lstm_cases import NUM_STATES
from torch import Tensor

from mamrl import ops


class Case(NamedTuple):
    """The arguments of ops.gru, in their order."""

    gate_inputs: Tensor
    states: Tensor | None
    recurrent_weight: Tensor
    recurrent_bias: Tensor
    head_weight: Tensor
    head_bias: Tensor

    def weights(self) -> tuple[Tensor, ...]:
        return self.gate_inputs, *self[2:]

    def with_weights(self, *weights: Tensor) -> Case:
        return Case(weights[0], self.states, *weights[1:])

    def requires_grad(self) -> Case:
        return self.with_weights(*(w.detach().clone().requires_grad_() for w in self.weights()))

    def run(self, *weights: Tensor) -> Tensor:
        """The op as a function of what it is differentiable in."""
        return ops.gru(*self.with_weights(*(weights or self.weights())))


def gru_case(horizon=4, chains=2, trajectories=3, units=3, outputs=2, dense=False, dtype=torch.float64, seed=3) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    states = torch.randint(NUM_STATES, (horizon, chains, trajectories), generator=generator)
    leading = (horizon, chains, trajectories) if dense else (chains, NUM_STATES)
    return Case(
        draw(*leading, 3 * units),
        None if dense else states,
        draw(chains, 3 * units, units) / math.sqrt(units),
        draw(chains, units),
        draw(chains, outputs, units) / math.sqrt(units),
        draw(chains, outputs),
    )
