"""The LSTM with its output layer, one step after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def lstm_cell(preactivations: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step, gates in torch's order input, forget, cell, output; (..., 4N) and (..., N) -> hidden, cell (..., N)."""
    i, f, g, o = preactivations.chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def carried(state: Tensor, share: float) -> Tensor:
    """The state itself, with a share of its derivative."""
    constant = state.detach()
    return constant + share * (state - constant)


def lstm(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    gradient_carry: float = 1.0,
) -> Tensor:
    """Outputs (T, M, K, A) of an LSTM started at zero with a linear head, every chain with its own weights.

    gate_inputs: the input's share of the gates, biases included: a table (M, S, 4N) read at states (T, M, K) int64, or,
    where states is None, dense (T, M, K, 4N). recurrent_weight (M, 4N, N), head_weight (M, A, N), head_bias (M, A).
    gradient_carry: the share of a gradient that passes from a state to the one before.
    """
    if states is None:
        horizon, chains, trajectories, _ = gate_inputs.shape
    else:
        horizon, chains, trajectories = states.shape
    units = recurrent_weight.shape[-1]
    hidden = recurrent_weight.new_zeros(chains, trajectories, units)
    cell = torch.zeros_like(hidden)
    outputs = []
    for t in range(horizon):
        if states is None:
            inputs = gate_inputs[t]
        else:
            inputs = gate_inputs.gather(1, states[t].unsqueeze(-1).expand(-1, -1, 4 * units))
        hidden, cell = carried(hidden, gradient_carry), carried(cell, gradient_carry)
        hidden, cell = lstm_cell(inputs + hidden @ recurrent_weight.mT, cell)
        outputs.append(hidden @ head_weight.mT + head_bias.unsqueeze(1))
    return torch.stack(outputs) if outputs else hidden.new_zeros(0, chains, trajectories, head_weight.shape[1])
