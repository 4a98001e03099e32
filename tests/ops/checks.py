"""What every op is held to, in one place: derivatives, registrations, ways of being called, kinds of bad input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64)
# the .cu files run on the CPU in this process: pytest --emulated-cuda
EMULATED = hasattr(torch.ops.mamrl_emulated, "set_thread_order")
CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = pytest.mark.parametrize("device", ["cpu", CUDA])
# for what the CUDA kernels do otherwise than the CPU's
ON_CUDA_KERNELS = pytest.mark.parametrize("device", ["cpu"] if EMULATED else [CUDA])
on_cpu_kernels = pytest.mark.skipif(EMULATED, reason="these are the CUDA kernels")


def on(device: str, *values: Any) -> list[Any]:
    """Tensors, also in lists, on a device; everything else as it is."""
    return [
        value.to(device) if isinstance(value, Tensor) else on(device, *value) if isinstance(value, list) else value
        for value in values
    ]


def assert_close(actual: Any, expected: Any, scale: float = 1.0) -> None:
    """To a few hundred rounding errors of the dtype, times ``scale``."""
    dtype = (actual if isinstance(actual, Tensor) else actual[0]).dtype
    tolerance = scale * (1e-12 if dtype == torch.float64 else 2e-5)
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def check_derivatives(function: Callable[..., Any], *inputs: Tensor) -> None:
    """First and second derivatives against finite differences; inputs are float64."""
    leaves = tuple(x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs)
    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


def check_registration(op: Any, *arguments: Any) -> None:
    """Schema, fake kernel, autograd key and what torch.compile asks, for the arguments as they are given."""
    results = torch.library.opcheck(op, arguments)
    assert set(results.values()) == {"SUCCESS"}, results


def check_compiled(function: Callable[..., Any], *inputs: Tensor) -> None:
    """One graph under torch.compile, with equal values and, for inputs that require grad, equal gradients."""
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    eager_value, compiled_value = function(*inputs), compiled(*inputs)
    torch.testing.assert_close(compiled_value, eager_value, rtol=0, atol=0)
    leaves = [x for x in inputs if x.requires_grad]
    if leaves:
        eager_grads, compiled_grads = (torch.autograd.grad(y.sum(), leaves) for y in (eager_value, compiled_value))
        torch.testing.assert_close(compiled_grads, eager_grads, rtol=0, atol=0)


def check_scripted(source: str, *arguments: Any) -> Any:
    """Compiles the function ``run`` by torch.jit.script and runs it."""
    with _without_deprecation_warning():
        scripted = torch.jit.CompilationUnit(source)
    return scripted.run(*arguments)


def check_thread_counts(function: Callable[[], Tensor | Sequence[Tensor]]) -> None:
    """The very same bits at one, two and three threads."""
    results = []
    for threads in (1, 2, 3):
        with num_threads(threads):
            results.append(function())
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


@contextmanager
def num_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _without_deprecation_warning() -> Iterator[None]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def strided(tensor: Tensor) -> Tensor:
    """The same numbers in memory that is not row-major."""
    wide = tensor.new_empty(*tensor.shape, 2)
    wide[..., 0] = tensor
    return wide[..., 0]
