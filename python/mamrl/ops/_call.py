"""Calls an op by the shortest way that is still right."""

from __future__ import annotations

from typing import Any

import torch
from torch._C._functorch import peek_interpreter_stack

_PREFIX = "mamrl: "


def call(op: Any, *args: Any) -> Any:
    """Calls ``op``, past its autograd kernel where nothing asks for a gradient.

    An autograd kernel registered from Python costs more than a small op itself. The compiler, and functorch's
    transforms, which hide what they differentiate, keep the full way.

    Raises:
        ValueError: what the kernel's own checks found, such as an index out of range.
    """
    if torch.compiler.is_compiling():
        return op(*args)
    try:
        if (torch.is_grad_enabled() and torch._C._any_requires_grad(*args)) or peek_interpreter_stack() is not None:
            return op(*args)
        with torch._C._AutoDispatchBelowAutograd():
            return op(*args)
    except RuntimeError as error:
        _, found, sentence = str(error).partition(_PREFIX)
        if not found:
            raise
        raise ValueError(sentence.splitlines()[0]) from None
