import pytest
import torch
from checks import (
    DEVICES,
    DTYPES,
    assert_close,
    check_compiled,
    check_derivatives,
    check_registration,
    check_scripted,
    check_thread_counts,
    on,
    strided,
)

from mamrl import ops
from mamrl.ops import reference

OP = torch.ops.mamrl.discounted_returns.default
BACKWARD = torch.ops.mamrl.discounted_returns_backward.default


def example(horizon=12, batch=(3, 5), dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    rewards, next_values = (torch.randn(horizon, *batch, generator=generator, dtype=dtype) for _ in range(2))
    terminations, truncations = (torch.rand(horizon, *batch, generator=generator) < 0.15 for _ in range(2))
    return rewards, next_values, terminations, truncations


def test_returns_are_the_sums_of_discounted_rewards():
    rewards, *_ = example()
    powers = 0.9 ** torch.arange(12, dtype=torch.float64).view(-1, 1, 1)
    expected = torch.stack([(rewards[t:] * powers[: 12 - t]).sum(0) for t in range(12)])
    assert_close(ops.discounted_returns(rewards, 0.9), expected)


def test_the_next_value_stands_for_what_a_truncation_cuts_off():
    rewards, next_values, *_ = example(horizon=5, batch=())
    cut = torch.tensor([False, True, False, False, False])
    returns = ops.discounted_returns(rewards, 0.9, truncations=cut, next_values=next_values)
    assert_close(returns[1], rewards[1] + 0.9 * next_values[1])
    assert_close(returns[4], rewards[4] + 0.9 * next_values[4])
    assert_close(returns[0], rewards[0] + 0.9 * returns[1])
    ended = ops.discounted_returns(rewards, 0.9, terminations=cut, truncations=cut, next_values=next_values)
    assert_close(ended[1], rewards[1])


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (7,), (3, 5), (2, 3, 67)])
@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("bootstrapped", [False, True])
def test_kernel_and_gradient_agree_with_the_twin(device, dtype, batch, terminated, truncated, bootstrapped):
    rewards, next_values, terminations, truncations = on(device, *example(20, batch, dtype))
    leaves = [rewards.requires_grad_(), next_values.requires_grad_()][: 1 + bootstrapped]
    masks = {
        "terminations": terminations if terminated else None,
        "truncations": truncations if truncated else None,
    }
    actual = ops.discounted_returns(rewards, 0.96, next_values=next_values if bootstrapped else None, **masks)
    expected = reference.discounted_returns(rewards, next_values if bootstrapped else None, *masks.values(), 0.96)
    assert_close(actual, expected)
    cotangent = torch.randn_like(rewards)
    assert_close(torch.autograd.grad(actual, leaves, cotangent), torch.autograd.grad(expected, leaves, cotangent))


def test_derivatives_agree_with_finite_differences_to_second_order():
    rewards, next_values, terminations, truncations = example(4, (2,))
    masks = {"terminations": terminations, "truncations": truncations}
    check_derivatives(lambda r: ops.discounted_returns(r, 0.9) ** 2, rewards)
    check_derivatives(lambda r, n: ops.discounted_returns(r, 0.9, next_values=n, **masks) ** 2, rewards, next_values)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_registrations_hold(requires_grad):
    rewards, next_values, *masks = example(3, (2,), torch.float32)
    rewards.requires_grad_(requires_grad)
    check_registration(OP, rewards, next_values, *masks, 0.9)
    check_registration(OP, rewards, None, None, None, 0.9)
    check_registration(BACKWARD, rewards, *masks, 0.9)


def test_compiles_to_one_graph():
    rewards, next_values, *_ = example(4, (3,))
    check_compiled(lambda r: ops.discounted_returns(r, 0.9), rewards)
    check_compiled(
        lambda r, n: ops.discounted_returns(r, 0.9, next_values=n),
        rewards.requires_grad_(),
        next_values.requires_grad_(),
    )


def test_scripts():
    rewards, *_ = example(4, (3,))
    source = """
    def run(rewards: Tensor) -> Tensor:
        return torch.ops.mamrl.discounted_returns(rewards, None, None, None, 0.9)
    """
    assert_close(check_scripted(source, rewards), ops.discounted_returns(rewards, 0.9))


def test_non_contiguous_arguments_give_the_same():
    rewards, next_values, terminations, truncations = example()
    expected = ops.discounted_returns(
        rewards, 0.9, next_values=next_values, terminations=terminations, truncations=truncations
    )
    actual = ops.discounted_returns(
        strided(rewards),
        0.9,
        next_values=strided(next_values),
        terminations=strided(terminations),
        truncations=strided(truncations),
    )
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0)])
def test_nothing_gives_nothing(shape):
    rewards = torch.zeros(shape, requires_grad=True)
    returns = ops.discounted_returns(rewards, 0.9)
    assert returns.shape == shape
    assert torch.autograd.grad(returns.sum(), rewards)[0].shape == shape


def test_thread_count_changes_no_bit():
    rewards, next_values, *masks = example(40, (5, 1031), torch.float32)
    check_thread_counts(lambda: OP(rewards, next_values, *masks, 0.9))
    check_thread_counts(lambda: BACKWARD(rewards, *masks, 0.9))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rewards": torch.zeros(4, 3).half()}, TypeError, "rewards is torch.float16, expected torch.float32"),
        ({"rewards": torch.zeros(())}, ValueError, "rewards has no dimension"),
        (
            {"next_values": torch.zeros(5, 3)},
            ValueError,
            r"next_values has shape \(5, 3\), expected \(4, 3\) as rewards",
        ),
        (
            {"next_values": torch.zeros(4, 3).double()},
            TypeError,
            "next_values is torch.float64, expected torch.float32",
        ),
        ({"next_values": torch.zeros(4, 3, device="meta")}, ValueError, "next_values is on meta, expected cpu"),
        ({"terminations": torch.zeros(4, 3)}, TypeError, "terminations is torch.float32, expected torch.bool"),
        ({"truncations": torch.zeros(4) > 0}, ValueError, r"truncations has shape \(4,\), expected \(4, 3\)"),
        ({"discount": -1}, ValueError, r"discount is -1, expected a number in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        ops.discounted_returns(**({"rewards": torch.zeros(4, 3), "discount": 0.9} | change))


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.zeros(4, 3), torch.zeros(3, 3), None, None),
        (torch.zeros(4, 3), torch.zeros(4, 3).double(), None, None),
        (torch.zeros(4, 3), None, torch.zeros(3, 3) > 0, None),
        (torch.zeros(4, 3), None, None, torch.zeros(4, 3)),
        (torch.zeros(()), None, None, None),
    ],
)
def test_the_op_itself_reads_past_no_tensor(arguments):
    with pytest.raises(RuntimeError, match="mamrl: "):
        OP(*arguments, 0.9)
