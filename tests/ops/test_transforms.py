"""torch.func over the ops, against the same derivatives by torch.autograd."""

import os
import subprocess
import sys

import pytest
import torch
from checks import DTYPES, on_cpu_kernels
from torch.func import grad, hessian, jacrev, jvp, vjp, vmap

from mamrl import ops
from mamrl.policies import LSTMPolicy, TabularPolicy

X = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INDEX = torch.arange(24).view(4, 2, 3) % 6
STATES = torch.arange(24).view(4, 2, 3) % 5
LSTM = LSTMPolicy(5, 2, hidden_size=2)
SMALL = torch.randn(2, LSTM.num_parameters, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
CASES = {
    "gae": (lambda x: ops.gae(x[:3], x, 0.9, 0.8).square().sum(), X),
    "discounted_returns": (lambda x: ops.discounted_returns(x, 0.9).square().sum(), X),
    "dice_objective": (lambda x: ops.dice_objective(x, X, X + 1, 0.9).sum(), X),
    "loaded_dice_objective": (lambda x: ops.loaded_dice_objective(x, X, 0.9).sum(), X),
    "table_lookup": (lambda x: ops.table_lookup(x.reshape(2, 12), INDEX).square().sum(), X),
    "table_accumulate": (lambda x: ops.table_accumulate(x, INDEX, 6).square().sum(), X),
    "tabular policy": (lambda x: TabularPolicy(5, 2).log_probs(x, STATES, STATES % 2).square().sum(), SMALL[:, :5]),
    "lstm policy": (lambda x: LSTM.log_probs(x, STATES, STATES % 2).square().sum(), SMALL),
}  # fmt: skip
every_case = pytest.mark.parametrize(("function", "x"), CASES.values(), ids=CASES)


@every_case
def test_grad_vjp_and_jacrev_are_the_gradient_of_autograd(function, x):
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(function(leaf), leaf)
    torch.testing.assert_close(grad(function)(x), expected)
    torch.testing.assert_close(vjp(function, x)[1](torch.ones((), dtype=x.dtype))[0], expected)
    torch.testing.assert_close(jacrev(function)(x), expected)


@every_case
def test_vmap_of_grad_gives_each_samples_gradient(function, x):
    samples = torch.stack([x, x + 0.5, x - 1])
    expected = torch.stack([grad(function)(sample) for sample in samples])
    torch.testing.assert_close(vmap(function)(samples), torch.stack([function(sample) for sample in samples]))
    torch.testing.assert_close(vmap(grad(function))(samples), expected)


@every_case
def test_reverse_over_reverse_hvp_and_vhp_are_the_hessians_products(function, x):
    direction = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    full = torch.autograd.functional.hessian(function, x).view(x.numel(), x.numel())
    expected = (full @ direction.flatten()).view_as(x)
    torch.testing.assert_close(jacrev(jacrev(function))(x).view_as(full), full)
    torch.testing.assert_close(grad(lambda y: (grad(function)(y) * direction).sum())(x), expected)
    torch.testing.assert_close(torch.autograd.functional.hvp(function, x, direction)[1], expected)
    torch.testing.assert_close(torch.autograd.functional.vhp(function, x, direction)[1], expected)


@every_case
def test_forward_mode_is_refused_by_a_sentence_and_never_zero(function, x):
    for transformed in (lambda: jvp(function, (x,), (x,)), lambda: hessian(function)(x)):
        with pytest.raises((RuntimeError, NotImplementedError), match=r"forward.*mode|forward AD|forward-mode"):
            transformed()


@on_cpu_kernels
def test_without_direct_calls_the_results_are_the_same():
    script = (
        "import torch; from mamrl import ops; from mamrl.ops import _call; "
        "assert _call._direct('gae')() is NotImplemented; x = torch.arange(7.0); "
        "print(ops.gae(x[:6], x, 0.9, 0.8).tolist())"
    )
    environment = {**os.environ, "MAMRL_DIRECT_CALLS": "0"}
    printed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    x = torch.arange(7.0, dtype=DTYPES[0])
    assert printed.stdout.strip() == str(ops.gae(x[:6], x, 0.9, 0.8).tolist())
