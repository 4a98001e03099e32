"""Calls ops, and registers their autograd, by the shortest way that is still right.

An autograd kernel registered from Python by ``torch.library`` costs more than a small op itself. Here it is a
plain ``autograd.Function``, which the function that :func:`bind` makes applies without the dispatcher, and not at all
where nothing asks for a gradient. Where nothing at all stands between Python and the kernel, not even the dispatcher is
asked (``csrc/direct.h``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch._C import _any_requires_grad, _AutoDispatchBelowAutograd
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad

_PREFIX = "mamrl: "
_TYPE_PREFIX = "TypeError: "
# keeps the registrations alive
_LIBRARY = torch.library.Library("mamrl", "IMPL")
_FUNCTIONS: dict[Any, Any] = {}


def register_autograd(
    name: str, backward: Callable[..., Any], *, setup_context: Callable[..., None] | None = None
) -> None:
    """Gives an op its derivative, as ``torch.library.register_autograd`` does and with the same arguments.

    Args:
        name: of the op, such as "gae".
        backward: (ctx, *grads of the outputs) -> grads of the inputs.
        setup_context: (ctx, inputs, output) -> None, saves what ``backward`` needs.
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

    def kernel(*args: Any) -> Any:
        if _asks_for_derivative(args):
            return function.apply(*args)
        return _below_autograd(op, args)

    _LIBRARY.impl(op, kernel, "Autograd")


def bind(name: str) -> Callable[..., Any]:
    """A function that calls an op.

    The compiler, and functorch's transforms, which hide what they differentiate, keep the dispatcher's way. The
    function raises

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
    return getattr(sys.modules["mamrl._C"], name, lambda *_: NotImplemented)


def _asks_for_derivative(args: tuple[Any, ...]) -> bool:
    # a tangent asks too, though no tensor requires grad
    return torch.is_grad_enabled() and (_any_requires_grad(*args) or forward_ad._current_level >= 0)


def _below_autograd(op: Any, args: tuple[Any, ...]) -> Any:
    with _AutoDispatchBelowAutograd():
        return op._op(*args)


def _dispatched(op: Any, args: tuple[Any, ...]) -> Any:
    try:
        if peek_interpreter_stack() is not None:
            return op(*args)
        if _asks_for_derivative(args):
            return _FUNCTIONS[op].apply(*args) if op in _FUNCTIONS else op(*args)
        return _below_autograd(op, args)
    except RuntimeError as error:
        raised = _readable(error)
        if raised is error:
            raise
        raise raised from None


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
