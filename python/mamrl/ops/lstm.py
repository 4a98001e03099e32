"""The LSTM with its output layer, every chain with its own weights: twice differentiable, one kernel a pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, filled, register_autograd, underivable

_lstm = bind("lstm")
_recorded = bind("lstm_recorded")
_backward = bind("lstm_backward")
_double_backward = bind("lstm_double_backward")
_NO_REVERSE = (
    "mamrl: the reverse-mode derivative of an LSTM's tangent is not there; take forward over reverse (hessian)"
)
_NO_THIRD = "mamrl: the LSTM has two derivatives here, and a third was asked for"


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
    return _lstm(gate_inputs, states, recurrent_weight, head_weight, head_bias, gradient_carry)[0]


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
    _checks.shape("saved", saved, (horizon, chains, trajectories, 5, _padded(units)))
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
    """Returns (T, M, K)."""
    _checks.floating("gate_inputs", gate_inputs)
    for name, tensor in (
        ("recurrent_weight", recurrent_weight),
        ("head_weight", head_weight),
        ("head_bias", head_bias),
    ):
        _checks.like(name, tensor, "gate_inputs", gate_inputs)
    if recurrent_weight.dim() != 3 or recurrent_weight.shape[-1] == 0:
        raise ValueError(f"recurrent_weight has shape {tuple(recurrent_weight.shape)}, expected (M, 4N, N) with N >= 1")
    chains, _, units = recurrent_weight.shape
    _checks.shape("recurrent_weight", recurrent_weight, (chains, 4 * units, units), ", that is (M, 4N, N)")
    if head_weight.dim() != 3 or head_weight.shape[1] == 0:
        raise ValueError(f"head_weight has shape {tuple(head_weight.shape)}, expected (M, A, N) with A >= 1")
    _checks.shape("head_weight", head_weight, (chains, head_weight.shape[1], units), ", that is (M, A, N)")
    _checks.shape("head_bias", head_bias, (chains, head_weight.shape[1]), ", that is (M, A)")
    if states is None:
        if gate_inputs.dim() != 4:
            raise ValueError(
                f"gate_inputs has shape {tuple(gate_inputs.shape)}, expected (T, M, K, 4N) where states is None"
            )
        horizon, _, trajectories, _ = gate_inputs.shape
        _checks.shape("gate_inputs", gate_inputs, (horizon, chains, trajectories, 4 * units), ", that is (T, M, K, 4N)")
        return horizon, chains, trajectories
    _checks.indices("states", states)
    _checks.same_device("states", states, "gate_inputs", gate_inputs)
    if gate_inputs.dim() != 3 or gate_inputs.shape[1] == 0:
        raise ValueError(f"gate_inputs has shape {tuple(gate_inputs.shape)}, expected a table (M, S, 4N) with states")
    _checks.shape("gate_inputs", gate_inputs, (chains, gate_inputs.shape[1], 4 * units), ", that is (M, S, 4N)")
    if states.dim() != 3 or states.shape[1] != chains:
        raise ValueError(
            f"states has shape {tuple(states.shape)}, expected (T, M, K) with M = {chains} as recurrent_weight"
        )
    return states.shape[0], chains, states.shape[2]


def _padded(units: int) -> int:
    """Units as the kernels keep them: a multiple of every SIMD level's lanes."""
    return (units + 15) // 16 * 16


def _steps(gate_inputs: Tensor, states: Tensor | None) -> tuple[int, int, int]:
    horizon, chains, trajectories = gate_inputs.shape[:3] if states is None else states.shape
    return horizon, chains, trajectories


@torch.library.register_fake("mamrl::lstm")
def _(
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    gradient_carry: float,
) -> tuple[Tensor, Tensor]:
    steps = _steps(gate_inputs, states)
    outputs = gate_inputs.new_empty(*steps, head_weight.shape[1])
    return outputs, gate_inputs.new_empty(*steps, 5, _padded(recurrent_weight.shape[2]))


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


@torch.library.register_fake("mamrl::lstm_backward")
def _(
    grad_outputs: Tensor,
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    saved: Tensor,
    gradient_carry: float,
) -> tuple[Tensor, ...]:
    return (
        gate_inputs.new_empty(gate_inputs.shape),
        recurrent_weight.new_empty(recurrent_weight.shape),
        head_weight.new_empty(head_weight.shape),
        head_weight.new_empty(head_weight.shape[:2]),
        gate_inputs.new_empty(*_steps(gate_inputs, states), _padded(recurrent_weight.shape[2])),
    )


@torch.library.register_fake("mamrl::lstm_double_backward")
def _(
    dir_gate_inputs: Tensor,
    dir_recurrent_weight: Tensor,
    dir_head_weight: Tensor,
    dir_head_bias: Tensor,
    grad_outputs: Tensor,
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    saved: Tensor,
    adjoints: Tensor,
    gradient_carry: float,
) -> tuple[Tensor, ...]:
    return (
        grad_outputs.new_empty(grad_outputs.shape),
        gate_inputs.new_empty(gate_inputs.shape),
        recurrent_weight.new_empty(recurrent_weight.shape),
        head_weight.new_empty(head_weight.shape),
    )


def _setup_lstm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    gate_inputs, states, recurrent_weight, head_weight, _, ctx.gradient_carry = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gate_inputs, states, recurrent_weight, head_weight, output[1])


def _setup_recorded(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    gate_inputs, states, recurrent_weight, head_weight, _, _, saved, ctx.gradient_carry = inputs
    if any(ctx.needs_input_grad[5:7]):
        raise RuntimeError("mamrl: outputs or saved require grad, but they are constants that a rollout recorded")
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(gate_inputs, states, recurrent_weight, head_weight, saved)


def _weight_gradients(ctx: Any, grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    """In the order of the inputs; states have none."""
    if grad_outputs is None:
        return None, None, None, None, None
    grads = _backward(grad_outputs, *ctx.saved_tensors, ctx.gradient_carry)
    return grads[0], None, grads[1], grads[2], grads[3]


def _differentiate_lstm(ctx: Any, grad_outputs: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
    return (*_weight_gradients(ctx, grad_outputs), None)


def _differentiate_recorded(ctx: Any, grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    return (*_weight_gradients(ctx, grad_outputs), None, None, None)


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(output[4])
    ctx.set_materialize_grads(False)
    *tensors, ctx.gradient_carry = inputs
    ctx.save_for_backward(*tensors, output[4])


def _differentiate_backward(ctx: Any, *directions: Tensor | None) -> tuple[Tensor | None, ...]:
    """Of <directions, lstm_backward>; saved and adjoints are functions of the weights, so their derivative is in it."""
    if all(direction is None for direction in directions[:4]):
        return (None,) * 7
    grad_outputs, gate_inputs, states, recurrent_weight, head_weight, saved, adjoints = ctx.saved_tensors
    shapes = (gate_inputs.shape, recurrent_weight.shape, head_weight.shape, head_weight.shape[:2])
    filled = [
        gate_inputs.new_zeros(shape) if direction is None else direction
        for direction, shape in zip(directions[:4], shapes, strict=True)
    ]
    point = grad_outputs, gate_inputs, states, recurrent_weight, head_weight, saved, adjoints
    grads = _double_backward(*filled, *underivable(_NO_THIRD, *point), ctx.gradient_carry)
    return grads[0], grads[1], None, grads[2], grads[3], None, None


def _setup_double_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    *tensors, ctx.gradient_carry = inputs[4:]
    ctx.save_for_backward(*tensors)


def _differentiate_double_backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """In the direction, of which all is linear: its transpose is the backward pass and, by symmetry, this op again."""
    grad_outputs, gate_inputs, states, recurrent_weight, head_weight, saved, adjoints = ctx.saved_tensors
    weights = gate_inputs, states, recurrent_weight, head_weight
    total: list[Tensor | None] = [None] * 4
    if grads[0] is not None:
        total = list(_backward(grads[0], *weights, saved, ctx.gradient_carry)[:4])
    if any(grad is not None for grad in grads[1:]):
        like = gate_inputs, recurrent_weight, head_weight
        filled = [torch.zeros_like(x) if g is None else g for g, x in zip(grads[1:], like, strict=True)]
        bias = gate_inputs.new_zeros(head_weight.shape[:2])
        products = _double_backward(*filled, bias, grad_outputs, *weights, saved, adjoints, ctx.gradient_carry)[1:]
        total = [p if t is None else t + p for t, p in zip(total, [*products, bias], strict=True)]
    return (*total, *[None] * 8)


def _tangent_of_lstm(
    inputs: tuple[Any, ...], outputs: tuple[Tensor, Tensor], tangents: tuple[Tensor | None, ...]
) -> tuple[Tensor, None]:
    """The double backward's first result, the derivative of <direction, lstm_backward> in the gradient coming in."""
    gate_inputs, states, recurrent_weight, head_weight, head_bias, carry = inputs
    _check_undamped(carry)
    weights = gate_inputs, recurrent_weight, head_weight, head_bias
    direction = filled((tangents[0], *tangents[2:5]), weights)
    nothing = torch.zeros_like(outputs[0])
    point = underivable(_NO_REVERSE, gate_inputs, states, recurrent_weight, head_weight, outputs[1])
    adjoints = _backward(nothing, *point, carry)[4]
    return _double_backward(*direction, nothing, *point, adjoints, carry)[0], None


def _tangent_of_backward(
    inputs: tuple[Any, ...], outputs: tuple[Tensor, ...], tangents: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """In the weights a Hessian's product with the direction, which is symmetric; in the gradient coming in linear."""
    grad_outputs, *weights, saved, carry = inputs
    _check_undamped(carry)
    gate_inputs, _, recurrent_weight, head_weight = weights
    grad_direction, *direction = filled(
        (tangents[0], tangents[1], *tangents[3:5]), (grad_outputs, gate_inputs, recurrent_weight, head_weight)
    )
    bias = gate_inputs.new_zeros(head_weight.shape[:2])
    products = _double_backward(*direction, bias, grad_outputs, *weights, saved, outputs[4], carry)[1:]
    linear = _backward(grad_direction, *weights, saved, carry)[:4]
    return (*(a + b for a, b in zip(linear, (*products, bias), strict=True)), None)


def _check_undamped(carry: float) -> None:
    if carry != 1:
        raise RuntimeError(f"gradient_carry is {carry}, but only with 1 an LSTM has forward-mode derivatives")


register_autograd("lstm", _differentiate_lstm, setup_context=_setup_lstm, tangent=_tangent_of_lstm)
register_autograd("lstm_recorded", _differentiate_recorded, setup_context=_setup_recorded)
register_autograd("lstm_backward", _differentiate_backward, setup_context=_setup_backward, tangent=_tangent_of_backward)
register_autograd("lstm_double_backward", _differentiate_double_backward, setup_context=_setup_double_backward)
