"""The GRU with its output layer, one step after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.ops.reference.lstm import carried


def gru_cell(gate_inputs: Tensor, hidden: Tensor, recurrent_weight: Tensor, recurrent_bias: Tensor) -> Tensor:
    """One step, gates in torch's order reset, update, new.

    (M, K, 3N), (M, K, N), (M, 3N, N), (M, N) -> hidden (M, K, N).
    """
    x_r, x_z, x_n = gate_inputs.chunk(3, dim=-1)
    h_r, h_z, h_n = (hidden @ recurrent_weight.mT).chunk(3, dim=-1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + r * (h_n + recurrent_bias.unsqueeze(1)))
    return n + z * (hidden - n)


def gru_step(
    gate_inputs: Tensor,
    hidden: Tensor,
    recurrent_weight: Tensor,
    recurrent_bias: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step with the head: (M, K, 3N) and (M, K, N) -> outputs (M, K, A) and the hidden state behind it (M, K, N).

    For acting step by step; the weights as in :func:`gru`.
    """
    hidden = gru_cell(gate_inputs, hidden, recurrent_weight, recurrent_bias)
    return hidden @ head_weight.mT + head_bias.unsqueeze(1), hidden


def gru(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    recurrent_bias: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    gradient_carry: float = 1.0,
) -> Tensor:
    """Outputs (T, M, K, A) of a GRU started at zero with a linear head, every chain with its own weights.

    gate_inputs: the input's share of the gates, biases included: a table (M, S, 3N) read at states (T, M, K) int64, or,
    where states is None, dense (T, M, K, 3N). recurrent_weight (M, 3N, N), recurrent_bias (M, N) of the new gate's
    share, head_weight (M, A, N), head_bias (M, A). gradient_carry: the share of a gradient that passes from a state to
    the one before.
    """
    if states is None:
        horizon, chains, trajectories, _ = gate_inputs.shape
    else:
        horizon, chains, trajectories = states.shape
    units = recurrent_weight.shape[-1]
    hidden = recurrent_weight.new_zeros(chains, trajectories, units)
    outputs = []
    for t in range(horizon):
        if states is None:
            inputs = gate_inputs[t]
        else:
            inputs = gate_inputs.gather(1, states[t].unsqueeze(-1).expand(-1, -1, 3 * units))
        hidden = carried(hidden, gradient_carry)
        y, hidden = gru_step(inputs, hidden, recurrent_weight, recurrent_bias, head_weight, head_bias)
        outputs.append(y)
    return torch.stack(outputs) if outputs else hidden.new_zeros(0, chains, trajectories, head_weight.shape[1])
