"""Actions and probabilities that come from outside are read before they are used; our own are not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

_LOCAL = threading.local()


def trusted() -> bool:
    """Whether what is handed over comes from ourselves, see :func:`own_trajectories`."""
    return getattr(_LOCAL, "trusted", False)


@contextmanager
def own_trajectories() -> Iterator[None]:
    """Within it actions and probabilities are not checked: they come from ourselves.

    Reading them would cost the training a pass, and a recording cannot read at all.
    """
    before = trusted()
    _LOCAL.trusted = True
    try:
        yield
    finally:
        _LOCAL.trusted = before


def check_actions(actions: Tensor, num_actions: int) -> None:
    """Raises ValueError that names the first action outside [0, num_actions).

    Not checked under torch.compile, within torch.func's transforms and on a GPU, where reading numbers is impossible or
    would wait for the device: there an action out of range gives a wrong number.
    """
    if trusted():
        return
    if not isinstance(actions, Tensor):
        raise TypeError(f"actions is {type(actions).__name__}, expected a torch.Tensor")
    if torch.compiler.is_compiling() or peek_interpreter_stack() is not None or actions.device.type != "cpu":
        # where numbers cannot be read, or only by waiting for a device
        return
    if actions.is_floating_point() or actions.is_complex() or actions.dtype == torch.bool:
        raise TypeError(f"actions is {actions.dtype}, expected torch.int64")
    outside = (actions < 0) | (actions >= num_actions)
    if bool(outside.any()):
        raise ValueError(f"actions holds {int(actions[outside][0])}, expected at least 0 and below {num_actions}")
