"""The papers' recurrent policies and value networks on the states of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl import ops
from mamrl.ops import reference
from mamrl.policies.base import categorical_log_probs, check_rows
from mamrl.policies.checks import check_actions


@dataclass(frozen=True)
class LSTMNetwork:
    """Linear(S, N) -> ReLU -> LSTM(N) -> Linear(N, outputs) on one-hot states, with flat parameters (M, P).

    On one-hot observations the first layer and the LSTM's input weights are a table of S rows of 4N gates, which is all
    that the kernels see of them. One bias a gate: torch's second one is redundant, and under the inner gradient step it
    would double the bias's learning rate.

    Attributes:
        num_states: S.
        num_outputs: how many numbers a step.
        hidden_size: N.
        gradient_carry: the share of a gradient that passes from a step's state to the state before it, see
            :func:`mamrl.ops.lstm.lstm`.
    """

    num_states: int
    num_outputs: int
    hidden_size: int = 64
    gradient_carry: float = 1.0

    def shapes(self) -> list[tuple[int, ...]]:
        """Input weight and bias, gate weight, recurrent weight, gate bias, head weight and bias."""
        units, gates = self.hidden_size, 4 * self.hidden_size
        return [
            (units, self.num_states),
            (units,),
            (gates, units),
            (gates, units),
            (gates,),
            (self.num_outputs, units),
            (self.num_outputs,),
        ]

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self.shapes())

    def initial(self, generator: torch.Generator) -> Tensor:
        """Xavier-normal weights, zero biases."""
        pieces = []
        for shape in self.shapes():
            piece = torch.zeros(shape)
            if len(shape) == 2:
                torch.nn.init.xavier_normal_(piece, generator=generator)
            pieces.append(piece.flatten())
        return torch.cat(pieces)

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> the tensors of :meth:`shapes`, each with a leading M."""
        check_rows("parameters", parameters, self.num_parameters)
        shapes = self.shapes()
        split = parameters.split([math.prod(shape) for shape in shapes], dim=-1)
        return [piece.view(-1, *shape) for piece, shape in zip(split, shapes, strict=True)]

    def kernel_tensors(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> gate table (M, S, 4N), recurrent weight (M, 4N, N), head weight (M, A, N), head bias (M, A)."""
        w_in, b_in, w_gates, w_recurrent, b_gates, w_head, b_head = self.weights(parameters)
        embedded = torch.relu(w_in.mT + b_in.unsqueeze(1))
        table = torch.baddbmm(b_gates.unsqueeze(1), embedded, w_gates.mT)
        return [table, w_recurrent, w_head, b_head]

    def outputs(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """What the network gives after the states so far.

        Args:
            parameters: (M, P) float32 or float64.
            states: (T, M, K) int64.
            recorded: (outputs, saved) of the rollout that made the states, which spare the forward pass.

        Returns:
            (T, M, K, outputs), twice differentiable in the parameters.
        """
        table, recurrent, head, bias = self.kernel_tensors(parameters)
        if recorded:
            outputs, saved = recorded
            return ops.lstm_recorded(table, states, recurrent, head, bias, outputs, saved, self.gradient_carry)
        return ops.lstm(table, states, recurrent, head, bias, self.gradient_carry)


@dataclass(frozen=True)
class LSTMPolicy:
    """A categorical LSTM policy, the papers' meta-agent (Kim et al. 2021, appendix B.1).

    Attributes:
        num_states: S.
        num_actions: A.
        hidden_size: N.
        gradient_carry: as :class:`LSTMNetwork`'s: below 1 its gradients through time are bounded, and biased.
    """

    num_states: int
    num_actions: int
    hidden_size: int = 64
    kind: int = reference.LSTM
    gradient_carry: float = 1.0

    @property
    def network(self) -> LSTMNetwork:
        """Its network, one output an action."""
        return LSTMNetwork(self.num_states, self.num_actions, self.hidden_size, self.gradient_carry)

    @property
    def num_parameters(self) -> int:
        """P."""
        return self.network.num_parameters

    def initial(self, generator: torch.Generator) -> Tensor:
        """Xavier-normal weights, zero biases (P,)."""
        return self.network.initial(generator)

    def networks(self, parameters: Tensor) -> list[Tensor]:
        """See :meth:`mamrl.policies.base.CategoricalPolicy.networks`."""
        return self.network.kernel_tensors(parameters)

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """See :meth:`mamrl.policies.base.CategoricalPolicy.logits`."""
        return self.network.outputs(parameters, states)

    def step(
        self, parameters: Tensor, states: Tensor, memory: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """See :func:`mamrl.games.stepping.step`; the memory is hidden and cell state, (M, K, N) each."""
        table, recurrent, head, bias = self.networks(parameters)
        zeros = table.new_zeros(*states.shape, self.hidden_size)
        hidden, cell = (zeros, zeros) if memory is None else memory
        inputs = table.gather(1, states.unsqueeze(-1).expand(-1, -1, table.shape[-1]))
        hidden, cell = reference.lstm_cell(inputs + hidden @ recurrent.mT, cell)
        return hidden @ head.mT + bias.unsqueeze(1), (hidden, cell)

    def log_probs(self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.base.Policy.log_probs`."""
        if not recorded:
            check_actions(actions, self.num_actions)
        outputs = self.network.outputs(parameters, states, recorded)
        return categorical_log_probs(outputs, actions)

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.base.Policy.entropies`."""
        logs = torch.log_softmax(self.network.outputs(parameters, states, recorded), dim=-1)
        return -(logs.exp() * logs).sum(-1)
