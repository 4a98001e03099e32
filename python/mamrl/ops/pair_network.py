"""Networks over pairs of policies: all layers and the way back in one pass over the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mamrl.ops import _checks
from mamrl.ops._call import bind, register_autograd

_forward = bind("pair_network")
_recorded = bind("pair_network_recorded")
_own_gradient = bind("pair_network_own_gradient")
_backward = bind("pair_network_backward")

_WHY_CONSTANT = (
    "the kernel differentiates in the weights only (mamrl.ops.reference.pair_network.pair_network in everything)"
)


def pair_network(
    weights: Tensor, fields: Sequence[int], x: Tensor, gamma: Tensor, outputs: Tensor | None = None
) -> Tensor:
    """A network's outputs for both players of each pair; nothing is kept for the way back, which computes it again.

    Args:
        weights: ``(P,)`` float32 or float64, flat; see :func:`mamrl.ops.reference.pair_network.split_pair_weights`.
        fields: The layers, flat; see :class:`mamrl.ops.reference.pair_network.PairLayer`.
        x: ``(2, B, D)`` of the same dtype, what the network is told of the policies; a constant.
        gamma: ``(2, B)`` of the same dtype; a constant.
        outputs: What :func:`pair_network_own_gradient` gave for the same arguments: they are not computed again.

    Returns:
        ``(2, B, Q)``; differentiable once, in the weights (a second derivative raises).

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape is not as above, the layers do not fit together, or x or gamma require grad.
    """
    _checks.constant("x", x, _WHY_CONSTANT)
    _checks.constant("gamma", gamma, _WHY_CONSTANT)
    if outputs is None:
        result: Tensor = _forward(weights, fields, x, gamma)
    else:
        result = _recorded(weights, fields, x, gamma, outputs)
    return result


def pair_network_own_gradient(
    weights: Tensor, fields: Sequence[int], x: Tensor, gamma: Tensor, signs: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Outputs, and each player's mean output differentiated in its own policy.

    Both players' gradients come from one pass back, exactly: it is not followed into the other player, so that
    player i's policy reaches player i's output only.

    Args:
        weights: As for :func:`pair_network`.
        fields: Likewise.
        x: Likewise.
        gamma: Likewise.
        signs: ``(2, B, units)`` of +1 and -1 on the units that the last layer reads, for the gradient only.

    Returns:
        Outputs ``(2, B, Q)`` and the gradient ``(2, B, D)``. Neither carries a graph.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape is not as above, or the layers do not fit together.
    """
    with torch.no_grad():
        outputs, gradient = _own_gradient(weights, fields, x, gamma, signs)
    return outputs, gradient


def _new_outputs(fields: Sequence[int], x: Tensor) -> Tensor:
    # the second of the last layer's eight numbers
    return x.new_empty((*x.shape[:2], fields[-7]))


@torch.library.register_fake("mamrl::pair_network")
def _(weights: Tensor, layers: Sequence[int], x: Tensor, gamma: Tensor) -> Tensor:
    return _new_outputs(layers, x)


@torch.library.register_fake("mamrl::pair_network_recorded")
def _(weights: Tensor, layers: Sequence[int], x: Tensor, gamma: Tensor, outputs: Tensor) -> Tensor:
    return _new_outputs(layers, x)


@torch.library.register_fake("mamrl::pair_network_own_gradient")
def _(weights: Tensor, layers: Sequence[int], x: Tensor, gamma: Tensor, signs: Tensor | None) -> tuple[Tensor, Tensor]:
    return _new_outputs(layers, x), x.new_empty(x.shape)


@torch.library.register_fake("mamrl::pair_network_backward")
def _(grad: Tensor, weights: Tensor, layers: Sequence[int], x: Tensor, gamma: Tensor) -> Tensor:
    return weights.new_empty(weights.shape)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    weights, ctx.layers, x, gamma = inputs[:4]
    if any(ctx.needs_input_grad[1:]):
        raise RuntimeError(f"mamrl: x, gamma or outputs require grad, but {_WHY_CONSTANT}")
    ctx.save_for_backward(weights, x, gamma)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    weights, x, gamma = ctx.saved_tensors
    return _backward(grad, weights, ctx.layers, x, gamma), None, None, None


def _differentiate_recorded(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return (*_differentiate(ctx, grad), None)


def _refuse_second(ctx: Any, *grads: Tensor) -> Any:
    raise RuntimeError(
        "mamrl: the kernel of networks over pairs has one derivative, and a second was asked for; "
        "mamrl.ops.reference.pair_network.pair_network has all"
    )


register_autograd("pair_network", _differentiate, setup_context=_setup)
register_autograd("pair_network_recorded", _differentiate_recorded, setup_context=_setup)
register_autograd("pair_network_own_gradient", _refuse_second)
register_autograd("pair_network_backward", _refuse_second)
