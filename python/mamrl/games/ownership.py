"""Whose environments are: one thread steps them at a time, and a copy shares nothing with its original."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Guard:
    """The lock of an object whose methods are :func:`exclusive`; a copy of it is another lock, and open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return Guard, ()


def exclusive(method: Callable[Concatenate[Any, Arguments], Result]) -> Callable[Concatenate[Any, Arguments], Result]:
    """A method that one thread at a time is in; others would find memory that is being written.

    The object's ``_guard`` is a :class:`Guard`.

    Raises:
        RuntimeError: another thread is in this or another exclusive method of the object.
    """

    @wraps(method)
    def guarded(self: Any, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        lock = self._guard.lock
        if not lock.acquire(False):
            raise RuntimeError("the environments are in use by another thread")
        try:
            return method(self, *args, **kwargs)
        finally:
            lock.release()

    return guarded


class WholeCopies:
    """Makes ``copy.copy`` a deep copy: a shallow one's steps would write into its original's memory."""

    def __copy__(self) -> Self:
        return copy.deepcopy(self)
