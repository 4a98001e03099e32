"""The recurrent network of the published coin-game agents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl import ops
from mamrl.ops import reference
from mamrl.policies.base import check_rows


@dataclass(frozen=True)
class GRUNetwork:
    """Linear(D, N) -> ReLU -> GRU(N) -> Linear(N, outputs) on what a player sees, with flat parameters (M, P).

    POLA's network. LOQA's and Advantage Alignment's have a second linear layer before the GRU and no activation behind
    it, so that it and the GRU's own input weights are one linear map, which is what stands here.

    Attributes:
        num_inputs: D.
        num_outputs: how many numbers a step.
        hidden_size: N.
    """

    num_inputs: int
    num_outputs: int
    hidden_size: int = 64

    def shapes(self) -> list[tuple[int, ...]]:
        """Input weight and bias, gate weight and bias, recurrent weight and bias, head weight and bias."""
        units = self.hidden_size
        return [
            (units, self.num_inputs),
            (units,),
            (3 * units, units),
            (3 * units,),
            (3 * units, units),
            (units,),
            (self.num_outputs, units),
            (self.num_outputs,),
        ]

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self.shapes())

    def initial(self, generator: torch.Generator) -> Tensor:
        """Weights of variance 1 / inputs, the recurrent ones orthogonal gate by gate, zero biases: (P,)."""
        pieces = []
        for index, shape in enumerate(self.shapes()):
            piece = torch.zeros(shape)
            if index == 4:
                for gate in piece.chunk(3):
                    torch.nn.init.orthogonal_(gate, generator=generator)
            elif len(shape) == 2:
                piece.normal_(0, 1 / math.sqrt(shape[1]), generator=generator)
            pieces.append(piece.flatten())
        return torch.cat(pieces)

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> the tensors of :meth:`shapes`, each with a leading M."""
        check_rows("parameters", parameters, self.num_parameters)
        shapes = self.shapes()
        split = parameters.split([math.prod(shape) for shape in shapes], dim=-1)
        return [piece.view(-1, *shape) for piece, shape in zip(split, shapes, strict=True)]

    def outputs(self, parameters: Tensor, seen: Tensor) -> Tensor:
        """What the network gives after what was seen so far.

        Args:
            parameters: (M, P).
            seen: (T, M, K, D).

        Returns:
            (T, M, K, outputs), twice differentiable in the parameters.
        """
        w_in, b_in, w_gates, b_gates, w_recurrent, b_recurrent, w_head, b_head = self.weights(parameters)
        times, rows, games, size = seen.shape
        flat = seen.transpose(0, 1).reshape(rows, times * games, size)
        embedded = torch.relu(torch.baddbmm(b_in.unsqueeze(1), flat, w_in.mT))
        inputs = torch.baddbmm(b_gates.unsqueeze(1), embedded, w_gates.mT)
        inputs = inputs.view(rows, times, games, -1).transpose(0, 1)
        return ops.gru(inputs, None, w_recurrent, b_recurrent, w_head, b_head)

    def step(self, weights: list[Tensor], seen: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """One time of :meth:`outputs`.

        Args:
            weights: of :meth:`weights`.
            seen: (M, K, D).
            hidden: what the last step returned; None at the start.

        Returns:
            Outputs (M, K, outputs), and the hidden state after the step (M, K, N).
        """
        w_in, b_in, w_gates, b_gates, w_recurrent, b_recurrent, w_head, b_head = weights
        if hidden is None:
            hidden = seen.new_zeros(*seen.shape[:2], self.hidden_size)
        embedded = torch.relu(torch.baddbmm(b_in.unsqueeze(1), seen, w_in.mT))
        inputs = torch.baddbmm(b_gates.unsqueeze(1), embedded, w_gates.mT)
        return reference.gru_step(inputs, hidden, w_recurrent, b_recurrent, w_head, b_head)
