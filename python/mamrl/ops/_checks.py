"""Checks at the public face of the ops: each raises one sentence with the argument, what came and what was expected."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FLOATING = (torch.float32, torch.float64)


def floating(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is {type(tensor).__name__}, expected a torch.Tensor")
    if tensor.dtype not in _FLOATING:
        raise TypeError(f"{name} is {tensor.dtype}, expected torch.float32 or torch.float64")


def indices(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is {type(tensor).__name__}, expected a torch.Tensor")
    if tensor.dtype != torch.int64:
        raise TypeError(f"{name} is {tensor.dtype}, expected torch.int64")


def like(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """A tensor of another's dtype and device."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is {type(tensor).__name__}, expected a torch.Tensor")
    if tensor.dtype != other.dtype:
        raise TypeError(f"{name} is {tensor.dtype}, expected {other.dtype} as {other_name}")
    same_device(name, tensor, other_name, other)


def same_device(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    if tensor.device != other.device:
        raise ValueError(f"{name} is on {tensor.device}, expected {other.device} as {other_name}")


def same_devices(**tensors: Tensor | None) -> None:
    """For fake kernels: where devices are mixed, a tensor on "meta" would else make a result without numbers."""
    (first_name, first), *others = ((name, tensor) for name, tensor in tensors.items() if tensor is not None)
    for name, tensor in others:
        same_device(name, tensor, first_name, first)


def shape(name: str, tensor: Tensor, expected: tuple[int, ...], why: str = "") -> None:
    if tensor.shape != expected:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(expected)}{why}")


def mask(name: str, tensor: Tensor | None, other_name: str, other: Tensor) -> None:
    """An optional boolean mask over another tensor."""
    if tensor is None:
        return
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is {type(tensor).__name__}, expected a torch.Tensor or None")
    if tensor.dtype != torch.bool:
        raise TypeError(f"{name} is {tensor.dtype}, expected torch.bool")
    same_device(name, tensor, other_name, other)
    shape(name, tensor, other.shape, f" as {other_name}")


def has_time(name: str, tensor: Tensor) -> None:
    if tensor.dim() == 0:
        raise ValueError(f"{name} has no dimension, expected time as the first")


def fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}, expected a number in [0, 1]")


def positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}, expected a positive number")


def constant(name: str, tensor: Tensor, why: str) -> None:
    if getattr(tensor, "requires_grad", False) and torch.is_grad_enabled():
        raise ValueError(f"{name} requires grad, but {why}; pass {name}.detach()")
