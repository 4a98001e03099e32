"""Every SIMD level that this machine has computes the small ops to rounding."""

import pytest
import torch
from checks import DTYPES, assert_close, check_thread_counts
from lstm_cases import simd_level, simd_levels

from mamrl import ops
from mamrl.ops import reference

LEVELS = pytest.mark.parametrize("level", simd_levels())
BOTH_DTYPES = pytest.mark.parametrize("dtype", DTYPES)


def draw(*shape, dtype):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(7))


@LEVELS
@BOTH_DTYPES
def test_recursions_and_their_transposes(level, dtype):
    rewards, values = draw(21, 2, 37, dtype=dtype), draw(22, 2, 37, dtype=dtype)
    ends = draw(21, 2, 37, dtype=dtype) > 1.2
    leaves = [rewards.requires_grad_(), values.requires_grad_()]
    arguments = (rewards, values, None, None, ends, 0.96, 0.9)
    expected = reference.gae(*arguments)
    expected_returns = reference.discounted_returns(rewards, None, ends, None, 0.96)
    with simd_level(level):
        actual = ops.gae(rewards, values, 0.96, 0.9, truncations=ends)
        returns = ops.discounted_returns(rewards, 0.96, terminations=ends)
        gradients = torch.autograd.grad((actual + returns).square().sum(), leaves)
    assert_close(actual, expected)
    assert_close(returns, expected_returns)
    assert_close(gradients, torch.autograd.grad((expected + expected_returns).square().sum(), leaves), scale=10)


@LEVELS
@BOTH_DTYPES
def test_dice(level, dtype):
    log_probs = draw(21, 2, 37, dtype=dtype).requires_grad_()
    rewards, baseline, vector = draw(3, 21, 2, 37, dtype=dtype)

    def derivatives(objective):
        value = objective(log_probs, rewards, baseline, 0.96)
        (gradient,) = torch.autograd.grad(value.sum(), log_probs, create_graph=True)
        return value, gradient, *torch.autograd.grad(gradient, log_probs, vector)

    expected = derivatives(reference.dice_objective)
    with simd_level(level):
        actual = derivatives(ops.dice_objective)
    for mine, theirs in zip(actual, expected, strict=True):
        assert_close(mine, theirs, scale=10)


@LEVELS
@BOTH_DTYPES
@pytest.mark.parametrize("size", [1, 5, 17, 30])
def test_linear_baseline(level, dtype, size):
    observations, returns = draw(31, 2, 19, size, dtype=dtype), draw(31, 2, 19, dtype=dtype)
    with simd_level(level):
        actual = ops.linear_baseline(observations, returns)
        check_thread_counts(lambda: ops.linear_baseline(observations, returns))
    expected = reference.linear_baseline(observations, returns, 0, 1e-5)
    assert_close(actual, expected, scale=1e4 if dtype == torch.float64 else 1)
