"""What is taken for a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(name: str, value: Any) -> Tensor:
    """A tensor as it is, or a NumPy array's numbers as one.

    Raises:
        TypeError: names the argument, which is neither, or an array of a dtype that torch does not have.
    """
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is {type(value).__name__}, expected a torch.Tensor or a NumPy array")
    try:
        # a copy: torch takes no arrays that are read-only, reversed or in another byte order
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("="), order="C"))
    except TypeError:
        raise TypeError(f"{name} is a NumPy array of {value.dtype}, expected one of numbers or booleans") from None
