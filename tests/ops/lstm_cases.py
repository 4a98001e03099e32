"""Random LSTMs and games for the tests of the LSTM, the rollout and the SIMD levels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from mamrl import ops
from mamrl.ops import reference

NUM_STATES = 5


class Case(NamedTuple):
    """The arguments of ops.lstm, in their order."""

    gate_inputs: Tensor
    states: Tensor | None
    recurrent_weight: Tensor
    head_weight: Tensor
    head_bias: Tensor

    def weights(self) -> tuple[Tensor, ...]:
        return self.gate_inputs, self.recurrent_weight, self.head_weight, self.head_bias

    def with_weights(self, *weights: Tensor) -> Case:
        return Case(weights[0], self.states, *weights[1:])

    def requires_grad(self) -> Case:
        return self.with_weights(*(w.detach().clone().requires_grad_() for w in self.weights()))

    def run(self, *weights: Tensor) -> Tensor:
        """The op as a function of what it is differentiable in."""
        return ops.lstm(*self.with_weights(*(weights or self.weights())))


def lstm_case(
    horizon=4, chains=2, trajectories=3, units=3, outputs=2, dense=False, dtype=torch.float64, seed=3
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    states = torch.randint(NUM_STATES, (horizon, chains, trajectories), generator=generator)
    leading = (horizon, chains, trajectories) if dense else (chains, NUM_STATES)
    return Case(
        draw(*leading, 4 * units),
        None if dense else states,
        draw(chains, 4 * units, units) / math.sqrt(units),
        draw(chains, outputs, units) / math.sqrt(units),
        draw(chains, outputs),
    )


def derivatives(case, function) -> tuple[Tensor, ...]:
    """Value, all first derivatives, and all second derivatives along random directions; a case here or of gru_cases."""
    leaves = case.requires_grad()
    outputs = function(*leaves)
    generator = torch.Generator().manual_seed(5)

    def direction(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

    grad_outputs = direction(outputs).requires_grad_()
    first = torch.autograd.grad(outputs, leaves.weights(), grad_outputs, create_graph=True)
    # the second derivative does not depend on the head's bias, which is the last
    wanted = (grad_outputs, *leaves.weights()[:-1])
    second = torch.autograd.grad(first, wanted, [direction(grad) for grad in first])
    return tuple(x.detach() for x in (outputs, *first, *second))


def relative_errors(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> list[float]:
    """Of each tensor, by its largest entry: a sum over many steps has no digits in its smallest."""
    pairs = zip(actual, expected, strict=True)
    return [float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for a, b in pairs]


class GameCase(NamedTuple):
    """The arguments of ops.matrix_game_rollout, in their order."""

    payoffs: Tensor
    networks: list[Tensor]
    kinds: list[int]
    keys: Tensor
    num_trajectories: int
    horizon: int


def game_case(
    actions=(2, 2), kinds=(2, 0), chains=2, trajectories=5, horizon=7, units=6, dtype=torch.float64, seed=7
) -> GameCase:
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    num_states = 1 + math.prod(actions)

    def network(outputs: int) -> list[Tensor]:
        recurrent = draw(chains, 4 * units, units) / math.sqrt(units)
        return [draw(chains, num_states, 4 * units), recurrent, draw(chains, outputs, units), draw(chains, outputs)]

    networks = []
    for count, kind in zip(actions, kinds, strict=True):
        if kind == reference.TABULAR:
            networks.append(draw(chains, num_states, count))
        else:
            networks += network(count) + (network(1) if kind == reference.LSTM_WITH_VALUE else [])
    keys = torch.randint(-(2**62), 2**62, (chains, 2), generator=generator)
    return GameCase(draw(len(actions), *actions), networks, list(kinds), keys, trajectories, horizon)


def simd_levels() -> list[str]:
    """Every level that this machine has, lowest first."""
    before, found = torch.ops.mamrl.simd_level(), []
    for level in ("baseline", "avx2", "avx512"):
        try:
            torch.ops.mamrl._set_simd_level(level)
        except RuntimeError:
            break
        found.append(level)
    torch.ops.mamrl._set_simd_level(before)
    return found


@contextmanager
def simd_level(level: str) -> Iterator[None]:
    before = torch.ops.mamrl.simd_level()
    torch.ops.mamrl._set_simd_level(level)
    try:
        yield
    finally:
        torch.ops.mamrl._set_simd_level(before)
