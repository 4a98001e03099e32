"""The GRU with its output layer, every chain with its own weights: twice differentiable, one kernel a pass."""

from __future__ import annotations

from torch import Tensor

from mamrl.ops import _checks, _recurrent

_passes = _recurrent.Passes("gru", "GRU", "a")


def gru(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    recurrent_bias: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    gradient_carry: float = 1.0,
) -> Tensor:
    """Outputs of a GRU (Cho et al. 2014, in torch's and flax's form) that starts at zero, with a linear head.

        r_t = s(x_r + W_r h_{t-1}),    z_t = s(x_z + W_z h_{t-1}),    n_t = tanh(x_n + r_t (W_n h_{t-1} + b)),
        h_t = n_t + z_t (h_{t-1} - n_t),    y_t = V h_t + c

    Gates stand in torch's order r, z, n. Of ``torch.nn.GRU``, the input weights times the inputs, ``bias_ih`` and the
    first two thirds of ``bias_hh`` are in x, and the last third of ``bias_hh`` is b. Twice differentiable in all
    weights; a third derivative raises RuntimeError. To act step by step: :func:`mamrl.ops.reference.gru_step`.

    Args:
        gate_inputs: x, the input's share of the gates, biases included; float32 or float64. With states a table
            (M, S, 3N), one row a state; without, (T, M, K, 3N).
        states: (T, M, K) int64, each in [0, S); or None.
        recurrent_weight: W (M, 3N, N).
        recurrent_bias: b (M, N), which the reset gate multiplies.
        head_weight: V (M, A, N).
        head_bias: c (M, A).
        gradient_carry: the share of a gradient that passes from a step's hidden state to the one before it, in [0, 1],
            as in :func:`mamrl.ops.lstm`.

    Returns:
        y (T, M, K, A).

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape or a device is not as above, a state is outside [0, S), or the carry is outside [0, 1].
    """
    _recurrent.check(3, gate_inputs, states, recurrent_weight, head_weight, head_bias, recurrent_bias=recurrent_bias)
    _checks.fraction("gradient_carry", gradient_carry)
    weights = recurrent_weight, recurrent_bias, head_weight, head_bias
    outputs: Tensor
    outputs, _ = _passes.forward(gate_inputs, states, *weights, gradient_carry)
    return outputs
