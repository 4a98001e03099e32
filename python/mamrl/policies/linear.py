"""A table of outputs as a network, for games whose observations are one of a few."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.policies.base import check_rows


@dataclass(frozen=True)
class LinearNetwork:
    """Outputs that are linear in what a player sees, without a memory; on one-hot observations a table.

    Attributes:
        num_inputs: D.
        num_outputs: how many numbers a step.
    """

    num_inputs: int
    num_outputs: int

    @property
    def num_parameters(self) -> int:
        """P."""
        return self.num_inputs * self.num_outputs

    def initial(self, generator: torch.Generator) -> Tensor:
        """Small normal numbers (P,)."""
        return torch.empty(self.num_parameters).normal_(0, 0.1, generator=generator)

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> the table (M, D, outputs)."""
        check_rows("parameters", parameters, self.num_parameters)
        return [parameters.view(-1, self.num_inputs, self.num_outputs)]

    def outputs(self, parameters: Tensor, seen: Tensor) -> Tensor:
        """(M, P), (T, M, K, D) -> (T, M, K, outputs), differentiable in the parameters."""
        return seen @ self.weights(parameters)[0]

    def step(self, weights: list[Tensor], seen: Tensor, hidden: None) -> tuple[Tensor, None]:
        """:meth:`outputs` of one time, (M, K, D) -> (M, K, outputs), and no memory."""
        return seen @ weights[0], None
