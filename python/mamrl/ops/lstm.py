"""The LSTM with its output layer, every chain with its own weights: twice differentiable, one kernel a pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks, _recurrent
from mamrl.ops._call import bind, register_autograd

_passes = _recurrent.Passes("lstm", "LSTM", "an")
_recorded = bind("lstm_recorded")


def lstm(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    gradient_carry: float = 1.0,
) -> Tensor:
    """Outputs of an LSTM (Hochreiter and Schmidhuber 1997) that starts at zero, with a linear head at every step.

        a_t = x_t + W h_{t-1},    c_t = s(a_f) c_{t-1} + s(a_i) tanh(a_g),    h_t = s(a_o) tanh(c_t),    y_t = V h_t + b

    Gates stand in torch's order i, f, g, o. Twice differentiable in all weights; a third derivative raises
    RuntimeError.

    Args:
        gate_inputs: x, the input's share of the gates, biases included; float32 or float64. With states a table
            (M, S, 4N), one row a state; without, (T, M, K, 4N).
        states: (T, M, K) int64, each in [0, S); or None.
        recurrent_weight: W (M, 4N, N).
        head_weight: V (M, A, N).
        head_bias: b (M, A).
        gradient_carry: the share of a gradient that passes from a step's state (h_t, c_t) to the state before it, in
            [0, 1]: both derivatives are those of a network with states carry x + (1 - carry) sg(x), sg being the
            identity without a derivative. At 1 they are exact; below, what a step owes to inputs k steps ago is weighed
            by carry^k, and a recurrence that amplifies by less than 1 / carry a step has bounded gradients.

    Returns:
        y (T, M, K, A).

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape or a device is not as above, a state is outside [0, S), or the carry is outside [0, 1].
    """
    _check(gate_inputs, states, recurrent_weight, head_weight, head_bias)
    _checks.fraction("gradient_carry", gradient_carry)
    outputs: Tensor
    outputs, _ = _passes.forward(gate_inputs, states, recurrent_weight, head_weight, head_bias, gradient_carry)
    return outputs


def lstm_recorded(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    outputs: Tensor,
    saved: Tensor,
    gradient_carry: float = 1.0,
) -> Tensor:
    """:func:`lstm` where a rollout has run it already: returns ``outputs``, differentiable, and computes nothing again.

    Args:
        gate_inputs: as in :func:`lstm`; this and the next four with the values that the rollout had: with others the
            derivatives are silently those of no function.
        states: as in :func:`lstm`.
        recurrent_weight: as in :func:`lstm`.
        head_weight: as in :func:`lstm`.
        head_bias: as in :func:`lstm`.
        outputs: (T, M, K, A), from :func:`mamrl.ops.rollout.matrix_game_rollout`.
        saved: what stands beside it there.
        gradient_carry: as in :func:`lstm`.

    Returns:
        A copy of outputs (T, M, K, A).

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape or a device is not as above, a state is outside [0, S), the carry is outside [0, 1], or
            a recording requires grad.
    """
    horizon, chains, trajectories = _check(gate_inputs, states, recurrent_weight, head_weight, head_bias)
    _checks.like("outputs", outputs, "gate_inputs", gate_inputs)
    _checks.like("saved", saved, "gate_inputs", gate_inputs)
    _checks.constant("outputs", outputs, "a rollout recorded it")
    _checks.constant("saved", saved, "a rollout recorded it")
    num_outputs, units = head_weight.shape[1:]
    _checks.shape("outputs", outputs, (horizon, chains, trajectories, num_outputs))
    _checks.shape("saved", saved, (horizon, chains, trajectories, 5, _recurrent.padded(units)))
    _checks.fraction("gradient_carry", gradient_carry)
    return _recorded(gate_inputs, states, recurrent_weight, head_weight, head_bias, outputs, saved, gradient_carry)


def lstm_policy(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    actions: Tensor,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of actions and entropies of an LSTM policy, whose A outputs are a softmax's logits.

    Args:
        gate_inputs: as in :func:`lstm`.
        states: as in :func:`lstm`.
        recurrent_weight: as in :func:`lstm`.
        head_weight: as in :func:`lstm`.
        head_bias: as in :func:`lstm`.
        actions: (T, M, K) int64, each in [0, A).

    Returns:
        Log-probabilities and entropies in nats, (T, M, K) each.

    Raises:
        TypeError: as :func:`lstm`, or actions are not int64.
        ValueError: as :func:`lstm`, or actions have another shape.
    """
    logits = lstm(gate_inputs, states, recurrent_weight, head_weight, head_bias)
    _checks.indices("actions", actions)
    _checks.shape("actions", actions, tuple(logits.shape[:-1]))
    logs = torch.log_softmax(logits, dim=-1)
    return logs.gather(-1, actions.unsqueeze(-1)).squeeze(-1), -(logs.exp() * logs).sum(-1)


def lstm_value(
    gate_inputs: Tensor, states: Tensor | None, recurrent_weight: Tensor, head_weight: Tensor, head_bias: Tensor
) -> Tensor:
    """Values of an LSTM with one output.

    Args:
        gate_inputs: as in :func:`lstm`.
        states: as in :func:`lstm`.
        recurrent_weight: as in :func:`lstm`.
        head_weight: (M, 1, N).
        head_bias: (M, 1).

    Returns:
        (T, M, K).

    Raises:
        TypeError: as :func:`lstm`.
        ValueError: as :func:`lstm`, or there is another number of outputs than one.
    """
    outputs = lstm(gate_inputs, states, recurrent_weight, head_weight, head_bias)
    if outputs.shape[-1] != 1:
        raise ValueError(f"head_weight has {outputs.shape[-1]} outputs, expected 1 of a value network")
    return outputs.squeeze(-1)


def _check(
    gate_inputs: Tensor, states: Tensor | None, recurrent_weight: Tensor, head_weight: Tensor, head_bias: Tensor
) -> tuple[int, int, int]:
    return _recurrent.check(4, gate_inputs, states, recurrent_weight, head_weight, head_bias)


@torch.library.register_fake("mamrl::lstm_recorded")
def _(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    outputs: Tensor,
    saved: Tensor,
    gradient_carry: float,
) -> Tensor:
    return outputs.new_empty(outputs.shape)


def _setup_recorded(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    gate_inputs, states, recurrent_weight, head_weight, _, _, saved, ctx.gradient_carry = inputs
    if any(ctx.needs_input_grad[5:7]):
        raise RuntimeError("mamrl: outputs or saved require grad, but they are constants that a rollout recorded")
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gate_inputs, states, recurrent_weight, head_weight, saved)


def _differentiate_recorded(ctx: Any, grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    grads = _passes.weight_gradients(grad_outputs, *ctx.saved_tensors, carry=ctx.gradient_carry)
    return (*grads, None, None, None)


register_autograd("lstm_recorded", _differentiate_recorded, setup_context=_setup_recorded)
