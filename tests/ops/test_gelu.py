import pytest
import torch
from checks import DTYPES, assert_close, check_registration, check_thread_counts
from torch.nn import functional as F

from mamrl.ops.gelu import gelu


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 85), (7, 128)])
def test_gelu_and_its_slope_are_torchs(dtype, shape):
    x = 4 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    value, expected = gelu(ours), F.gelu(theirs, approximate="tanh")
    assert_close(value, expected)
    assert_close(torch.autograd.grad(value.sum(), ours), torch.autograd.grad(expected.sum(), theirs))


def test_far_tails_are_zero_and_the_identity():
    x = torch.tensor([-1e4, -50.0, 50.0, 1e4])
    assert_close(gelu(x), torch.tensor([0.0, 0.0, 50.0, 1e4]))


def test_a_second_derivative_raises_instead_of_being_wrong():
    x = torch.randn(4, requires_grad=True)
    (slope,) = torch.autograd.grad(gelu(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        torch.autograd.grad(slope.sum(), x)


def test_op_is_registered_for_tracing_and_independent_of_threads():
    x = torch.randn(300_000)
    check_registration(torch.ops.mamrl.gelu_with_slope.default, x[:100])
    check_thread_counts(lambda: torch.ops.mamrl.gelu_with_slope(x))
