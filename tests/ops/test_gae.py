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

OP = torch.ops.mamrl.gae.default
BACKWARD = torch.ops.mamrl.gae_backward.default


def example(horizon=12, batch=(3, 5), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(horizon, *batch, generator=generator, dtype=dtype)
    values = torch.randn(horizon + 1, *batch, generator=generator, dtype=dtype)
    next_values = torch.randn(horizon, *batch, generator=generator, dtype=dtype)
    terminations = torch.rand(horizon, *batch, generator=generator) < 0.15
    truncations = torch.rand(horizon, *batch, generator=generator) < 0.15
    return rewards, values, next_values, terminations, truncations


def test_gae_equals_the_sum_of_discounted_deltas():
    rewards, values, *_ = example()
    discount, gae_lambda = 0.96, 0.9
    deltas = rewards + discount * values[1:] - values[:-1]
    powers = (discount * gae_lambda) ** torch.arange(12, dtype=torch.float64).view(-1, 1, 1)
    expected = torch.stack([(deltas[t:] * powers[: 12 - t]).sum(0) for t in range(12)])
    assert_close(ops.gae(rewards, values, discount, gae_lambda), expected)


def test_lambda_one_gives_the_return_less_the_value():
    rewards, values, _, terminations, _ = example()
    next_values = values[1:]
    returns = ops.discounted_returns(rewards, 0.9, terminations=terminations, next_values=next_values)
    assert_close(ops.gae(rewards, values, 0.9, 1.0, terminations=terminations), returns - values[:-1])


def test_a_termination_hides_what_follows_and_a_truncation_keeps_the_next_value():
    rewards, values, _, _, _ = example(horizon=6, batch=())
    ends = torch.tensor([False, False, True, False, False, False])
    terminated = ops.gae(rewards, values, 0.9, 0.8, terminations=ends)
    truncated = ops.gae(rewards, values, 0.9, 0.8, truncations=ends)
    assert_close(terminated[2], rewards[2] - values[2])
    assert_close(truncated[2], rewards[2] + 0.9 * values[3] - values[2])
    for advantages in (terminated, truncated):
        assert_close(advantages[3:], ops.gae(rewards[3:], values[3:], 0.9, 0.8))


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (1,), (7,), (3, 5), (2, 3, 67)])
@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("truncated", [False, True])
@pytest.mark.parametrize("separate", [False, True])
def test_kernel_agrees_with_its_twin(device, dtype, batch, terminated, truncated, separate):
    rewards, values, next_values, terminations, truncations = on(device, *example(20, batch, dtype))
    terminations = terminations if terminated else None
    truncations = truncations if truncated else None
    if separate:
        values = values[:-1]
    else:
        next_values = None
    advantages = ops.gae(
        rewards, values, 0.96, 0.95, terminations=terminations, truncations=truncations, next_values=next_values
    )
    assert_close(advantages, reference.gae(rewards, values, next_values, terminations, truncations, 0.96, 0.95))


@pytest.mark.parametrize("separate", [False, True])
def test_derivatives_agree_with_finite_differences_to_second_order(separate):
    rewards, values, next_values, terminations, truncations = example(4, (2,))
    masks = {"terminations": terminations, "truncations": truncations}
    if separate:
        check_derivatives(
            lambda r, v, n: ops.gae(r, v, 0.9, 0.8, next_values=n, **masks) ** 2, rewards, values[:-1], next_values
        )
    else:
        check_derivatives(lambda r, v: ops.gae(r, v, 0.9, 0.8, **masks) ** 2, rewards, values)


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("separate", [False, True])
def test_gradient_agrees_with_the_twins(device, dtype, separate):
    rewards, values, next_values, *masks = on(device, *example(20, (2, 65), dtype))
    inputs = [rewards, values[:-1], next_values] if separate else [rewards, values]
    leaves = [x.clone().requires_grad_() for x in inputs]
    arguments = [*leaves, *([] if separate else [None]), *masks, 0.9, 0.8]
    cotangent = torch.randn_like(rewards)
    expected = torch.autograd.grad(reference.gae(*arguments), leaves, cotangent)
    assert_close(torch.autograd.grad(OP(*arguments), leaves, cotangent), expected)


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("separate", [False, True])
def test_registrations_hold(requires_grad, separate):
    rewards, values, next_values, *masks = example(3, (2,), torch.float32)
    values, next_values = (values[:-1], next_values) if separate else (values, None)
    for x in (rewards, values):
        x.requires_grad_(requires_grad)
    check_registration(OP, rewards, values, next_values, *masks, 0.9, 0.8)
    check_registration(OP, rewards, values, next_values, None, None, 0.9, 0.8)
    check_registration(BACKWARD, rewards, *masks, 0.9, 0.8, separate)


def test_compiles_to_one_graph():
    rewards, values, *_ = example(4, (3,))
    check_compiled(lambda r, v: ops.gae(r, v, 0.9, 0.8), rewards, values)
    check_compiled(lambda r, v: ops.gae(r, v, 0.9, 0.8), rewards.requires_grad_(), values.requires_grad_())


def test_scripts():
    rewards, values, *_ = example(4, (3,))
    source = """
    def run(rewards: Tensor, values: Tensor) -> Tensor:
        return torch.ops.mamrl.gae(rewards, values, None, None, None, 0.9, 0.8)
    """
    assert_close(check_scripted(source, rewards, values), ops.gae(rewards, values, 0.9, 0.8))


def test_non_contiguous_arguments_give_the_same():
    rewards, values, next_values, terminations, truncations = example()
    expected = ops.gae(
        rewards, values[:-1], 0.9, 0.8, next_values=next_values, terminations=terminations, truncations=truncations
    )
    actual = ops.gae(
        rewards.transpose(1, 2).contiguous().transpose(1, 2),
        strided(values)[:-1],
        0.9,
        0.8,
        next_values=strided(next_values),
        terminations=strided(terminations),
        truncations=strided(truncations),
    )
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (4, 2, 0)])
def test_nothing_gives_nothing(shape):
    rewards = torch.zeros(shape, requires_grad=True)
    values = torch.ones(shape[0] + 1, *shape[1:], requires_grad=True)
    advantages = ops.gae(rewards, values, 0.9, 0.8)
    assert advantages.shape == shape
    grads = torch.autograd.grad(advantages.sum(), (rewards, values))
    assert [g.shape for g in grads] == [rewards.shape, values.shape]
    assert all(not g.any() for g in grads)


def test_thread_count_changes_no_bit():
    rewards, values, *masks = example(40, (5, 1031), torch.float32)
    _, terminations, truncations = masks
    check_thread_counts(lambda: ops.gae(rewards, values, 0.9, 0.8, terminations=terminations, truncations=truncations))
    check_thread_counts(lambda: BACKWARD(rewards, terminations, truncations, 0.9, 0.8, False))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rewards": [1.0]}, TypeError, "type 'Tensor' for argument 'rewards' but instead found type 'list'"),
        (
            {"rewards": torch.zeros(4, 3, dtype=torch.int64)},
            TypeError,
            r"rewards is torch.int64, expected torch.float32",
        ),
        ({"rewards": torch.zeros(())}, ValueError, "rewards has no dimension, expected time as the first"),
        (
            {"values": torch.zeros(5, 3).double()},
            TypeError,
            "values is torch.float64, expected torch.float32 as rewards",
        ),
        (
            {"values": torch.zeros(4, 3)},
            ValueError,
            r"values has shape \(4, 3\), expected one row more than the \(4, 3\) of rewards",
        ),
        (
            {"values": torch.zeros(5, 2)},
            ValueError,
            r"values has shape \(5, 2\), expected one row more than the \(4, 3\) of rewards",
        ),
        ({"values": torch.zeros(5, 3, device="meta")}, ValueError, "values is on meta, expected cpu as rewards"),
        (
            {"next_values": torch.zeros(4, 3)},
            ValueError,
            r"values has shape \(5, 3\), expected \(4, 3\) as rewards, next",
        ),
        ({"terminations": torch.zeros(4, 3)}, TypeError, "terminations is torch.float32, expected torch.bool"),
        ({"truncations": torch.zeros(5, 3) > 0}, ValueError, r"truncations has shape \(5, 3\), expected \(4, 3\)"),
        ({"discount": 1.5}, ValueError, r"discount is 1.5, expected a number in \[0, 1\]"),
        ({"discount": float("nan")}, ValueError, r"discount is nan, expected a number in \[0, 1\]"),
        ({"gae_lambda": -0.1}, ValueError, r"gae_lambda is -0.1, expected a number in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"rewards": torch.zeros(4, 3), "values": torch.zeros(5, 3), "discount": 0.9, "gae_lambda": 0.8}
    with pytest.raises(error, match=message):
        ops.gae(**(arguments | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.zeros(4, 3).half()}, "rewards is torch.float16, expected torch.float32 or torch.float64"),
        ({1: torch.zeros(4, 3)}, "values has shape"),
        ({1: torch.zeros(5, 3).double()}, "values is torch.float64, expected torch.float32"),
        ({2: torch.zeros(4, 3)}, "values has shape"),
        ({3: torch.zeros(4, 3)}, "terminations is torch.float32, expected torch.bool"),
        ({4: torch.zeros(3, 3) > 0}, r"truncations has shape \(3, 3\), expected \(4, 3\)"),
    ],
)
def test_the_op_itself_reads_past_no_tensor(change, message):
    arguments = [torch.zeros(4, 3), torch.zeros(5, 3), None, None, None, 0.9, 0.8]
    for position, value in change.items():
        arguments[position] = value
    with pytest.raises(RuntimeError, match=message):
        OP(*arguments)
