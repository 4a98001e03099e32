"""torch.func over the ops, against the same derivatives by torch.autograd."""

import os
import subprocess
import sys

import pytest
import torch
from checks import DTYPES, on_cpu_kernels
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from mamrl import ops
from mamrl.ops.quantile_huber import quantile_huber
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
ONCE = {"quantile_huber": (lambda x: quantile_huber(x, 0.3 * x.flip(-1)).square().sum(), X)}
every_case = pytest.mark.parametrize(("function", "x"), CASES.values(), ids=CASES)
also_once = pytest.mark.parametrize(("function", "x"), (CASES | ONCE).values(), ids=CASES | ONCE)


@also_once
def test_grad_vjp_and_jacrev_are_the_gradient_of_autograd(function, x):
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(function(leaf), leaf)
    torch.testing.assert_close(grad(function)(x), expected)
    torch.testing.assert_close(vjp(function, x)[1](torch.ones((), dtype=x.dtype))[0], expected)
    torch.testing.assert_close(jacrev(function)(x), expected)


@also_once
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


@also_once
def test_forward_mode_is_the_gradient_in_the_direction(function, x):
    direction = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    expected = (grad(function)(x) * direction).sum()
    torch.testing.assert_close(jvp(function, (x,), (direction,))[1], expected)
    torch.testing.assert_close(jacfwd(function)(x), grad(function)(x))
    with forward_ad.dual_level():
        output = function(forward_ad.make_dual(x, direction))
        torch.testing.assert_close(forward_ad.unpack_dual(output).tangent, expected)


@every_case
def test_hessian_is_the_forward_mode_of_the_gradient(function, x):
    direction = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    expected = torch.autograd.functional.hvp(function, x, direction)[1]
    torch.testing.assert_close(jvp(grad(function), (x,), (direction,))[1], expected)
    if x.numel() <= 24:  # the LSTM has more parameters than its whole Hessian is worth waiting for
        full = hessian(function)(x).view(x.numel(), -1)
        torch.testing.assert_close((full @ direction.flatten()).view_as(x), expected)


def test_what_is_not_there_is_refused_by_a_sentence_and_never_zero():
    huber, x = ONCE["quantile_huber"]
    with pytest.raises(RuntimeError, match="quantile_huber has one derivative here"):
        hessian(huber)(x)
    with pytest.raises(RuntimeError, match="quantile_huber has one derivative here"):
        grad(lambda y: grad(huber)(y).sum())(x)
    lstm, x = CASES["lstm policy"]
    with pytest.raises(RuntimeError, match="reverse-mode derivative of an LSTM's tangent is not there"):
        grad(lambda y: jvp(lstm, (y,), (y,))[1])(x)
    damped = LSTMPolicy(5, 2, hidden_size=2, gradient_carry=0.5)
    with pytest.raises(RuntimeError, match=r"gradient_carry is 0\.5"):
        jvp(lambda y: damped.log_probs(y, STATES, STATES % 2).sum(), (x,), (x,))
    with pytest.raises(RuntimeError, match="DiCE holds them constant"):
        jvp(lambda r: ops.dice_objective(X, r, X, 0.9).sum(), (X,), (X,))


def test_vmap_over_any_dimension_of_columns_beside_what_is_not_mapped():
    batch = torch.stack([X, X + 1, X - 1], dim=1)
    result = vmap(lambda r, v: ops.gae(r, v, 0.9, 0.8), in_dims=(1, None))(batch[:3], X)
    torch.testing.assert_close(result, torch.stack([ops.gae(r, X, 0.9, 0.8) for r in batch[:3].unbind(1)]))
    ends = torch.tensor([True, False, True, False])
    result = vmap(lambda r: ops.discounted_returns(r, 0.9, terminations=ends), in_dims=1)(batch[:, :, 0, 0])
    singly = [ops.discounted_returns(r, 0.9, terminations=ends) for r in batch[:, :, 0, 0].unbind(1)]
    torch.testing.assert_close(result, torch.stack(singly))


@pytest.mark.parametrize("policy", [TabularPolicy(5, 2), LSTM], ids=["tabular", "lstm"])
def test_functional_call_of_a_module_around_a_policy(policy):
    class Surprise(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = torch.nn.Parameter(torch.zeros(2, policy.num_parameters, dtype=torch.float64))

        def forward(self, states):
            return -policy.log_probs(self.rows, states, states % 2).mean()

    module, rows = Surprise(), SMALL[:, : policy.num_parameters]
    result = grad(lambda given: functional_call(module, given, STATES))({"rows": rows})["rows"]
    module.rows.data.copy_(rows)
    torch.testing.assert_close(result, torch.autograd.grad(module(STATES), module.rows)[0])


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
