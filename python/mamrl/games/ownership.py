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
    """Lets one thread in and tells the others, who would else find memory that is being written.

    Raises:
        RuntimeError: on entering, if someone is inside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("the environments are in use by another thread")

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        # a copy is its owner's alone, whoever is inside here
        return Guard, ()


def exclusive(method: Callable[Concatenate[Any, Arguments], Result]) -> Callable[Concatenate[Any, Arguments], Result]:
    """A method inside its object's ``_guard``."""

    @wraps(method)
    def guarded(self: Any, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with self._guard:
            return method(self, *args, **kwargs)

    return guarded


class WholeCopies:
    """Makes ``copy.copy`` a deep copy: a shallow one's steps would write into its original's memory."""

    def __copy__(self) -> Self:
        return copy.deepcopy(self)
