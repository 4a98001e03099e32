"""torch's recurrent layers out of operations that torch.func can batch and differentiate twice."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mamrl.ops.reference import lstm_cell

_CELLS: dict[type[nn.Module], str] = {nn.LSTMCell: "LSTM", nn.GRUCell: "GRU", nn.RNNCell: "RNN"}


class Recurrence(nn.Module):
    """What an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` computes, with the same names of parameters.

    torch's own layers are single operations without a rule for ``vmap``; the LSTM has no second derivative either.

    Args:
        layer: shares its parameters.

    Raises:
        ValueError: the layer is bidirectional, and so looks ahead in time.
    """

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        if layer.bidirectional:
            raise ValueError("the module has a bidirectional layer, expected one that sees the past alone")
        self.mode, self.num_layers, self.batch_first = layer.mode, layer.num_layers, layer.batch_first
        self.hidden_size, self.proj_size = layer.hidden_size, layer.proj_size
        for name, parameter in layer.named_parameters(recurse=False):
            self.register_parameter(name, parameter)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """As the layer: (T, ..., I) and its state -> outputs (T, ..., N) and the last state."""
        swapped = self.batch_first and inputs.dim() == 3
        sequence = inputs.transpose(0, 1) if swapped else inputs
        lasts: list[Sequence[Tensor]] = []
        for layer in range(self.num_layers):
            carried = self._start(sequence, state, layer)
            outputs = []
            for preactivation in self._linear("ih", layer, sequence).unbind(0):
                carried = self._step(layer, preactivation, carried)
                outputs.append(carried[0])
            sequence = torch.stack(outputs)
            lasts.append(carried)
        last = tuple(torch.stack(parts) for parts in zip(*lasts, strict=True))
        return sequence.transpose(0, 1) if swapped else sequence, last if self.mode == "LSTM" else last[0]

    def _start(self, sequence: Tensor, state: Any, layer: int) -> tuple[Tensor, ...]:
        """(hidden,) or (hidden, cell) before the first step."""
        if state is not None:
            return tuple(part[layer] for part in (state if self.mode == "LSTM" else (state,)))
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        return tuple(sequence.new_zeros(*sequence.shape[1:-1], size) for size in sizes)

    def _linear(self, which: str, layer: int, inputs: Tensor) -> Tensor:
        weight, bias = getattr(self, f"weight_{which}_l{layer}"), getattr(self, f"bias_{which}_l{layer}", None)
        return nn.functional.linear(inputs, weight, bias)

    def _step(self, layer: int, from_input: Tensor, carried: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        from_hidden = self._linear("hh", layer, carried[0])
        after = _cell(self.mode, from_input, from_hidden, carried)
        if self.proj_size:
            after = (nn.functional.linear(after[0], getattr(self, f"weight_hr_l{layer}")), after[1])
        return after


class RecurrentCell(nn.Module):
    """What an ``nn.LSTMCell``, ``nn.GRUCell`` or ``nn.RNNCell`` computes, with the same names of parameters.

    Args:
        cell: shares its parameters.
    """

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.mode, self.hidden_size = _CELLS[type(cell)], cell.hidden_size
        if isinstance(cell, nn.RNNCell):
            self.mode = f"RNN_{cell.nonlinearity.upper()}"
        self.weight_ih, self.weight_hh = cell.weight_ih, cell.weight_hh
        self.bias_ih, self.bias_hh = cell.bias_ih, cell.bias_hh

    def forward(self, inputs: Tensor, state: Any = None) -> Any:
        """As the cell: (..., I) and its state -> the state after it, (..., N) or a pair of these."""
        lstm = self.mode == "LSTM"
        if state is None:
            zeros = inputs.new_zeros(*inputs.shape[:-1], self.hidden_size)
            state = (zeros, zeros) if lstm else zeros
        carried = tuple(state) if lstm else (state,)
        from_input = nn.functional.linear(inputs, self.weight_ih, self.bias_ih)
        after = _cell(self.mode, from_input, nn.functional.linear(carried[0], self.weight_hh, self.bias_hh), carried)
        return after if lstm else after[0]


def _cell(mode: str, from_input: Tensor, from_hidden: Tensor, carried: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """(hidden,) or (hidden, cell) after a step, from what weights and biases made of input and hidden state."""
    if mode == "LSTM":
        return lstm_cell(from_input + from_hidden, carried[1])
    if mode == "GRU":
        reset_in, update_in, new_in = from_input.chunk(3, -1)
        reset_hidden, update_hidden, new_hidden = from_hidden.chunk(3, -1)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_hidden) * new_hidden)
        return (new + torch.sigmoid(update_in + update_hidden) * (carried[0] - new),)
    return ((torch.tanh if mode == "RNN_TANH" else torch.relu)(from_input + from_hidden),)


def with_recurrences(module: nn.Module) -> nn.Module:
    """A copy of a module in which torch's recurrent layers and cells are those of this file."""
    own = copy.deepcopy(module)
    for parent in list(own.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.RNNBase):
                setattr(parent, name, Recurrence(child))
            elif isinstance(child, nn.RNNCellBase) and type(child) in _CELLS:
                setattr(parent, name, RecurrentCell(child))
    return own
