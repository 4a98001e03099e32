"""Calls ops, and registers their autograd, by the shortest way that is still right.

An autograd kernel registered from Python by ``torch.library`` costs more than a small op itself. Here it is a
plain ``autograd.Function``, which the function that :func:`bind` makes applies without the dispatcher, and not at all
where nothing asks for a gradient. Where nothing at all stands between Python and the kernel, not even the dispatcher is
asked (``csrc/direct.h``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch._C import _any_requires_grad, _AutoDispatchBelowAutograd
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad

from mamrl.ops.tensors import as_tensor

_PREFIX = "mamrl: "
_TYPE_PREFIX = "TypeError: "
# keeps the registrations alive
_LIBRARY = torch.library.Library("mamrl", "IMPL")
_FUNCTIONS: dict[Any, Any] = {}
# the same for functorch's transforms, which want forward and setup_context apart; that would slow every other call
_TRANSFORMED: dict[Any, Any] = {}
# MAMRL_DIRECT_CALLS=0: every call goes through torch's dispatcher
_DIRECT_CALLS = os.environ.get("MAMRL_DIRECT_CALLS", "1") != "0"


def register_autograd(
    name: str,
    backward: Callable[..., Any],
    *,
    setup_context: Callable[..., None] | None = None,
    tangent: Callable[..., Any] | None = None,
    columns: bool = False,
) -> None:
    """Gives an op its derivative, as ``torch.library.register_autograd`` does and with the same arguments.

    Args:
        name: of the op, such as "gae".
        backward: (ctx, *grads of the outputs) -> grads of the inputs.
        setup_context: (ctx, inputs, output) -> None, saves what ``backward`` needs.
        tangent: (inputs, outputs, tangents of the inputs) -> tangents of the outputs, all as tuples but a single
            result, see :func:`linear`; without it forward mode is refused by a sentence.
        columns: whether tensors may have any dimensions behind the first, so that vmap is one call.
    """
    op, direct = _op(name), _direct(name)

    def forward(ctx: Any, *args: Any) -> Any:
        output = direct(*args)
        if output is NotImplemented:
            output = _below_autograd(op, args)
        if setup_context is not None:
            setup_context(ctx, args, output)
        return output

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    function: Any = type(f"{name}_function", (torch.autograd.Function,), members)
    _FUNCTIONS[op] = function
    _TRANSFORMED[op] = _for_transforms(name, op, backward, setup_context, tangent, columns)

    def kernel(*args: Any) -> Any:
        if _transforming():
            return _TRANSFORMED[op].apply(*args)
        if _asks_for_derivative(args):
            return function.apply(*args)
        return _below_autograd(op, args)

    _LIBRARY.impl(op, kernel, "Autograd")


def linear(call: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The tangent rule of an op that is linear in its first ``count`` arguments: the op of their tangents."""

    def tangent(inputs: tuple[Any, ...], outputs: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return call(*filled(tangents[:count], inputs[:count]), *inputs[count:])

    return tangent


def filled(tangents: Iterable[Any], inputs: Iterable[Any]) -> list[Any]:
    """Zeros where an input has no tangent."""
    return [
        torch.zeros_like(x) if tangent is None and x is not None else tangent
        for tangent, x in zip(tangents, inputs, strict=True)
    ]


def _for_transforms(
    name: str,
    op: Any,
    backward: Callable[..., Any],
    setup_context: Callable[..., None] | None,
    tangent: Callable[..., Any] | None,
    columns: bool,
) -> type[torch.autograd.Function]:
    def forward(*args: Any) -> Any:
        return _below_autograd(op, args)

    def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if setup_context is not None:
            setup_context(ctx, inputs, output)
        if tangent is not None:
            known = (*inputs, *(output if isinstance(output, tuple) else (output,)))
            ctx.save_for_forward(*(x if isinstance(x, torch.Tensor) else None for x in known))
            ctx.numbers = [None if isinstance(x, torch.Tensor) else x for x in known]

    def jvp(ctx: Any, *tangents: Any) -> Any:
        if tangent is None:
            raise NotImplementedError(f"{name} has no forward-mode derivative; use reverse mode (grad, vjp, jacrev)")
        known = tuple(n if x is None else x for x, n in zip(ctx.saved_tensors, ctx.numbers, strict=True))
        return tangent(known[: len(tangents)], known[len(tangents) :], tangents)

    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        if columns:
            result = _TRANSFORMED[op].apply(
                *(_with_last(x, dim, info.batch_size) for x, dim in zip(args, in_dims, strict=True))
            )
            return result, -1 if isinstance(result, torch.Tensor) else (-1,) * len(result)
        # one call of the kernel a sample
        calls = [
            _TRANSFORMED[op].apply(
                *(x if dim is None else x.select(dim, i) for x, dim in zip(args, in_dims, strict=True))
            )
            for i in range(info.batch_size)
        ]
        if isinstance(calls[0], torch.Tensor):
            return torch.stack(calls), 0
        return tuple(map(torch.stack, zip(*calls, strict=True))), (0,) * len(calls[0])

    members = {"forward": forward, "setup_context": setup, "backward": backward, "jvp": jvp, "vmap": vmap}
    static = {key: staticmethod(value) for key, value in members.items()}
    transformed: type[torch.autograd.Function] = type(f"{name}_transformed", (torch.autograd.Function,), static)
    return transformed


def _with_last(argument: Any, dim: int | None, size: int) -> Any:
    """A tensor with the mapped dimension last, or repeated along it."""
    if not isinstance(argument, torch.Tensor):
        return argument
    return argument.unsqueeze(-1).expand(*argument.shape, size) if dim is None else argument.movedim(dim, -1)


class _Underivable(torch.autograd.Function):
    """The identity, whose derivative raises: the engine runs it only where that derivative is truly asked for."""

    generate_vmap_rule = True

    @staticmethod
    def forward(tensor: torch.Tensor, sentence: str) -> torch.Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.sentence = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError(ctx.sentence)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError(ctx.sentence)


def underivable(sentence: str, *tensors: torch.Tensor | None) -> list[Any]:
    """The same tensors, whose gradients raise RuntimeError with the sentence where somebody asks for them."""
    if not torch.is_grad_enabled():
        return list(tensors)
    return [x if x is None or not x.is_floating_point() else _Underivable.apply(x, sentence) for x in tensors]


def bind(name: str) -> Callable[..., Any]:
    """A function that calls an op.

    The compiler keeps the dispatcher's way; functorch's transforms hide what they differentiate, and are always given a
    function that they know how to transform. The function raises

    - ValueError: what the op's own checks found.
    - TypeError: the same, of an argument's type or dtype.
    """
    op, direct = _op(name), _direct(name)

    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling():
            return op(*args)
        result = direct(*args)
        return _dispatched(op, args) if result is NotImplemented else result

    return call


def _op(name: str) -> Any:
    return getattr(torch.ops.mamrl, name).default


def _direct(name: str) -> Callable[..., Any]:
    """The op's direct function, or one that always declines."""
    if not _DIRECT_CALLS:
        return lambda *_: NotImplemented
    return getattr(sys.modules["mamrl._C"], name, lambda *_: NotImplemented)


def _asks_for_derivative(args: tuple[Any, ...]) -> bool:
    return torch.is_grad_enabled() and _any_requires_grad(*args)


def _transforming() -> bool:
    # a tangent asks too, though no tensor requires grad
    return peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def _below_autograd(op: Any, args: tuple[Any, ...]) -> Any:
    with _AutoDispatchBelowAutograd():
        return op._op(*args)


def _dispatched(op: Any, args: tuple[Any, ...]) -> Any:
    try:
        if _transforming():
            return _TRANSFORMED[op].apply(*args) if op in _TRANSFORMED else op(*args)
        if _asks_for_derivative(args):
            return _FUNCTIONS[op].apply(*args) if op in _FUNCTIONS else op(*args)
        return _below_autograd(op, args)
    except RuntimeError as error:
        read = _arrays_as_tensors(op, args)
        if read is not None:
            return _dispatched(op, read)
        raised = _readable(error)
        if raised is error:
            raise
        raise raised from None


def _arrays_as_tensors(op: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The arguments of a call that failed, with NumPy's arrays as tensors; None where there was no array."""
    names = [argument.name for argument in op._schema.arguments]
    for argument, value in zip(op._schema.arguments, args, strict=False):
        if value is None and str(argument.type) == "Tensor":
            raise TypeError(f"{argument.name} is None, expected a torch.Tensor") from None
    if not any(isinstance(x, np.ndarray) for x in args):
        return None
    return tuple(as_tensor(n, x) if isinstance(x, np.ndarray) else x for n, x in zip(names, args, strict=False))


def _readable(error: RuntimeError) -> Exception:
    text = str(error)
    _, found, sentence = text.partition(_PREFIX)
    if found:
        sentence = sentence.splitlines()[0]
        kind = TypeError if sentence.startswith(_TYPE_PREFIX) else ValueError
        return kind(sentence.removeprefix(_TYPE_PREFIX))
    if "Expected a value of type" in text:
        return TypeError(text.splitlines()[0])
    return error
