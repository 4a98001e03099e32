"""What the ops of recurrent networks share: checks, fake kernels and autograd.

A network is three ops, NAME, NAME_backward and NAME_double_backward. Their arguments begin with the network's own:
gate_inputs, states, the weights, head_bias. The backward passes want all of these but the head's bias, which they do
not depend on, and give the gradients of all of them but states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, filled, register_autograd, underivable


def check(
    gates: int,
    gate_inputs: Tensor,
    states: Tensor | None,
    recurrent_weight: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    **biases: Tensor,
) -> tuple[int, int, int]:
    """Returns (T, M, K); biases: others, (M, N) each."""
    _checks.floating("gate_inputs", gate_inputs)
    for name, tensor in (
        ("recurrent_weight", recurrent_weight),
        *biases.items(),
        ("head_weight", head_weight),
        ("head_bias", head_bias),
    ):
        _checks.like(name, tensor, "gate_inputs", gate_inputs)
    rows = f"{gates}N"
    if recurrent_weight.dim() != 3 or recurrent_weight.shape[-1] == 0:
        raise ValueError(
            f"recurrent_weight has shape {tuple(recurrent_weight.shape)}, expected (M, {rows}, N) with N >= 1"
        )
    chains, _, units = recurrent_weight.shape
    _checks.shape("recurrent_weight", recurrent_weight, (chains, gates * units, units), f", that is (M, {rows}, N)")
    for name, bias in biases.items():
        _checks.shape(name, bias, (chains, units), ", that is (M, N)")
    if head_weight.dim() != 3 or head_weight.shape[1] == 0:
        raise ValueError(f"head_weight has shape {tuple(head_weight.shape)}, expected (M, A, N) with A >= 1")
    _checks.shape("head_weight", head_weight, (chains, head_weight.shape[1], units), ", that is (M, A, N)")
    _checks.shape("head_bias", head_bias, (chains, head_weight.shape[1]), ", that is (M, A)")
    given = tuple(gate_inputs.shape)
    if states is None:
        if gate_inputs.dim() != 4:
            raise ValueError(f"gate_inputs has shape {given}, expected (T, M, K, {rows}) where states is None")
        horizon, _, trajectories, _ = gate_inputs.shape
        expected = horizon, chains, trajectories, gates * units
        _checks.shape("gate_inputs", gate_inputs, expected, f", that is (T, M, K, {rows})")
        return horizon, chains, trajectories
    _checks.indices("states", states)
    _checks.same_device("states", states, "gate_inputs", gate_inputs)
    if gate_inputs.dim() != 3 or gate_inputs.shape[1] == 0:
        raise ValueError(f"gate_inputs has shape {given}, expected a table (M, S, {rows}) with states")
    _checks.shape("gate_inputs", gate_inputs, (chains, given[1], gates * units), f", that is (M, S, {rows})")
    if states.dim() != 3 or states.shape[1] != chains:
        raise ValueError(
            f"states has shape {tuple(states.shape)}, expected (T, M, K) with M = {chains} as recurrent_weight"
        )
    return states.shape[0], chains, states.shape[2]


def padded(units: int) -> int:
    """Units as the kernels keep them: a multiple of every SIMD level's lanes."""
    return (units + 15) // 16 * 16


class Passes:
    """A network's three ops, registered when this is made.

    Args:
        name: of the op, such as "lstm".
        noun: in sentences, such as "LSTM".
        article: before it.
    """

    def __init__(self, name: str, noun: str, article: str) -> None:
        self.forward = bind(name)
        self._backward = bind(f"{name}_backward")
        self._double_backward = bind(f"{name}_double_backward")
        self._a_noun = f"{article} {noun}"
        self._no_reverse = (
            f"mamrl: the reverse-mode derivative of {self._a_noun}'s tangent is not there; "
            "take forward over reverse (hessian)"
        )
        self._no_third = f"mamrl: the {noun} has two derivatives here, and a third was asked for"
        torch.library.register_fake(f"mamrl::{name}", _fake_forward)
        torch.library.register_fake(f"mamrl::{name}_backward", _fake_backward)
        torch.library.register_fake(f"mamrl::{name}_double_backward", _fake_double_backward)
        register_autograd(name, self._differentiate, setup_context=_setup, tangent=self._tangent)
        register_autograd(
            f"{name}_backward",
            self._differentiate_backward,
            setup_context=_setup_backward,
            tangent=self._tangent_of_backward,
        )
        register_autograd(
            f"{name}_double_backward", self._differentiate_double_backward, setup_context=_setup_double_backward
        )

    def weight_gradients(self, grad_outputs: Tensor | None, *point: Any, carry: float) -> tuple[Tensor | None, ...]:
        """In the order of the network's arguments, None for states; point: those arguments without head_bias, saved."""
        if grad_outputs is None:
            return (None,) * len(point)
        gate_inputs, *weights, _ = self._backward(grad_outputs, *point, carry)
        return gate_inputs, None, *weights

    def _differentiate(self, ctx: Any, grad_outputs: Tensor | None, _: Any) -> tuple[Tensor | None, ...]:
        return (*self.weight_gradients(grad_outputs, *ctx.saved_tensors, carry=ctx.gradient_carry), None)

    def _differentiate_backward(self, ctx: Any, *directions: Tensor | None) -> tuple[Tensor | None, ...]:
        """Of <directions, backward>; saved and adjoints are functions of the weights: their derivative is in it."""
        grad_outputs, *network, saved, adjoints = ctx.saved_tensors
        if all(direction is None for direction in directions[:-1]):
            return (None,) * (len(network) + 3)
        point = underivable(self._no_third, grad_outputs, *network, saved, adjoints)
        grads = self._double_backward(*_filled(directions[:-1], network), *point, ctx.gradient_carry)
        return grads[0], grads[1], None, *grads[2:], None, None

    def _differentiate_double_backward(self, ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """In the direction, in which all is linear: the transpose is the backward pass and, by symmetry, this op."""
        grad_outputs, *network, saved, adjoints = ctx.saved_tensors
        carry, count = ctx.gradient_carry, len(network)
        total: list[Tensor | None] = [None] * count
        if grads[0] is not None:
            total = list(self._backward(grads[0], *network, saved, carry)[:-1])
        if any(grad is not None for grad in grads[1:]):
            direction = _filled((*grads[1:], None), network)
            products = self._double_backward(*direction, grad_outputs, *network, saved, adjoints, carry)[1:]
            products = [*products, direction[-1]]
            total = [p if t is None else t + p for t, p in zip(total, products, strict=True)]
        return (*total, *[None] * (count + 4))

    def _tangent(
        self, inputs: tuple[Any, ...], outputs: tuple[Tensor, Tensor], tangents: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, None]:
        """The double backward's first result, the derivative of <direction, backward> in the gradient coming in."""
        *network, _, carry = inputs
        self._check_undamped(carry)
        direction = _filled((tangents[0], *tangents[2:-1]), network)
        nothing = torch.zeros_like(outputs[0])
        point = underivable(self._no_reverse, *network, outputs[1])
        adjoints = self._backward(nothing, *point, carry)[-1]
        return self._double_backward(*direction, nothing, *point, adjoints, carry)[0], None

    def _tangent_of_backward(
        self, inputs: tuple[Any, ...], outputs: tuple[Tensor, ...], tangents: tuple[Tensor | None, ...]
    ) -> tuple[Tensor | None, ...]:
        """In the weights a Hessian's product with the direction, symmetric; linear in the gradient coming in."""
        grad_outputs, *network, saved, carry = inputs
        self._check_undamped(carry)
        (grad_direction,) = filled(tangents[:1], inputs[:1])
        direction = _filled((tangents[1], *tangents[3:-2], None), network)
        products = self._double_backward(*direction, grad_outputs, *network, saved, outputs[-1], carry)[1:]
        linear = self._backward(grad_direction, *network, saved, carry)[:-1]
        return (*(a + b for a, b in zip(linear, (*products, direction[-1]), strict=True)), None)

    def _check_undamped(self, carry: float) -> None:
        if carry != 1:
            raise RuntimeError(
                f"gradient_carry is {carry}, but only with 1 {self._a_noun} has forward-mode derivatives"
            )


def _filled(directions: tuple[Tensor | None, ...], network: list[Any]) -> list[Tensor]:
    """A direction of each of the network's arguments but states, the head's bias among them; zeros where it is None."""
    gate_inputs, _, *weights = network
    *given, bias = directions
    head_weight = weights[-1]
    return [
        *filled(given, (gate_inputs, *weights)),
        head_weight.new_zeros(head_weight.shape[:2]) if bias is None else bias,
    ]


def _steps(gate_inputs: Tensor, states: Tensor | None) -> tuple[int, int, int]:
    horizon, chains, trajectories = gate_inputs.shape[:3] if states is None else states.shape
    return horizon, chains, trajectories


def _fake_forward(gate_inputs: Tensor, states: Tensor | None, *weights: Any) -> tuple[Tensor, Tensor]:
    recurrent_weight, *_, head_weight, _, _ = weights
    steps = _steps(gate_inputs, states)
    outputs = gate_inputs.new_empty(*steps, head_weight.shape[1])
    return outputs, gate_inputs.new_empty(*steps, 5, padded(recurrent_weight.shape[2]))


def _fake_backward(
    grad_outputs: Tensor, gate_inputs: Tensor, states: Tensor | None, *others: Any
) -> tuple[Tensor, ...]:
    *weights, _, _ = others
    return (
        *(x.new_empty(x.shape) for x in (gate_inputs, *weights)),
        weights[-1].new_empty(weights[-1].shape[:2]),
        gate_inputs.new_empty(*_steps(gate_inputs, states), padded(weights[0].shape[2])),
    )


def _fake_double_backward(*arguments: Any) -> tuple[Tensor, ...]:
    count = _num_directions(arguments)
    directions, grad_outputs = arguments[:count], arguments[count]
    return (grad_outputs.new_empty(grad_outputs.shape), *(x.new_empty(x.shape) for x in directions[:-1]))


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *network, _, ctx.gradient_carry = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*network, output[1])


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(output[-1])
    ctx.set_materialize_grads(False)
    *tensors, ctx.gradient_carry = inputs
    ctx.save_for_backward(*tensors, output[-1])


def _setup_double_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    *tensors, ctx.gradient_carry = inputs[_num_directions(inputs) :]
    ctx.save_for_backward(*tensors)


def _num_directions(arguments: tuple[Any, ...]) -> int:
    """Of a double backward's arguments: behind them come as many of the network's, and four more."""
    return (len(arguments) - 4) // 2
