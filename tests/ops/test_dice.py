import pytest
import torch
from checks import (
    DEVICES,
    DTYPES,
    assert_close,
    check_compiled,
    check_registration,
    check_scripted,
    check_thread_counts,
    on,
    strided,
)

from mamrl import ops
from mamrl.ops import reference

DICE = torch.ops.mamrl.dice_objective.default
LOADED = torch.ops.mamrl.loaded_dice_objective.default
GRADIENT = torch.ops.mamrl.dice_gradient.default
PRODUCT = torch.ops.mamrl.dice_hessian_product.default
DERIVATIVES = torch.ops.mamrl.dice_derivatives.default

# one objective: its public face, its twin of magic boxes, its op, and how many constants it takes
PLAIN = (ops.dice_objective, reference.dice_objective, DICE, 2)
WITH_ADVANTAGES = (ops.loaded_dice_objective, reference.loaded_dice_objective, LOADED, 1)
OBJECTIVES = pytest.mark.parametrize("objective", [PLAIN, WITH_ADVANTAGES], ids=["plain", "loaded"])


def example(horizon=7, chains=3, trajectories=5, dtype=torch.float64, seed=3):
    generator = torch.Generator().manual_seed(seed)
    shape = (horizon, chains, trajectories)
    log_probs = torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()
    constants = [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2)]
    vector = torch.randn(shape, generator=generator, dtype=dtype)
    cotangent = torch.randn(chains, generator=generator, dtype=dtype)
    return log_probs, constants, vector, cotangent


def derivatives(function, log_probs, constants, vector, cotangent, discount=0.96):
    """Value, gradient, Hessian-vector product, and the latter's companion in the objective's cotangent."""
    cotangent = cotangent.clone().requires_grad_()
    value = function(log_probs, *constants, discount)
    (gradient,) = torch.autograd.grad(value, log_probs, cotangent, create_graph=True)
    product, companion = torch.autograd.grad(gradient, (log_probs, cotangent), vector)
    return value, gradient, product, companion


@DEVICES
@OBJECTIVES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (7, 3, 5), (40, 2, 67), (150, 1, 64), (5, 300, 2)])
def test_value_gradient_and_hessian_product_are_those_of_the_magic_box(device, objective, dtype, sizes):
    ours, twin, _, count = objective
    log_probs, constants, vector, cotangent = on(device, *example(*sizes, dtype))
    log_probs = log_probs.detach().requires_grad_()
    expected = derivatives(twin, log_probs, constants[:count], vector, cotangent)
    actual = derivatives(ours, log_probs, constants[:count], vector, cotangent)
    for mine, theirs in zip(actual, expected, strict=True):
        assert_close(mine, theirs, scale=10)


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
def test_derivatives_without_a_graph_are_those_of_the_magic_box(device, dtype):
    log_probs, constants, vector, cotangent = on(device, *example(40, 2, 67, dtype))
    log_probs = log_probs.detach().requires_grad_()
    expected = derivatives(reference.dice_objective, log_probs, constants, vector, torch.ones_like(cotangent))
    actual = ops.dice_derivatives(log_probs, *constants, vector, 0.96)
    for mine, theirs in zip(actual, expected, strict=False):
        assert not mine.requires_grad
        assert_close(mine, theirs, scale=10)
    flat = ops.dice_derivatives(*(x[:, 0] for x in (log_probs, *constants, vector)), 0.96)
    assert flat[0].shape == ()
    assert_close(flat[2], actual[2][:, 0], scale=10)


@OBJECTIVES
def test_hessian_is_symmetric(objective):
    ours, _, _, count = objective
    log_probs, constants, _, _ = example(5, 1, 2)
    inner = torch.autograd.functional.hessian(lambda d: ours(d, *constants[:count], 0.9).sum(), log_probs)
    matrix = inner.reshape(10, 10)
    assert matrix.abs().sum() > 0
    assert_close(matrix, matrix.T)


def test_the_value_is_the_mean_discounted_return_and_that_of_the_loaded_one_zero():
    log_probs, (rewards, baseline), _, _ = example()
    powers = 0.9 ** torch.arange(7, dtype=torch.float64).view(-1, 1, 1)
    assert_close(ops.dice_objective(log_probs, rewards, baseline, 0.9).detach(), (powers * rewards).sum(0).mean(-1))
    assert not ops.loaded_dice_objective(log_probs, rewards, 0.9).any()


def test_the_first_derivative_weighs_each_log_prob_by_its_return_less_the_baseline():
    log_probs, (rewards, baseline), _, _ = example()
    (gradient,) = torch.autograd.grad(ops.dice_objective(log_probs, rewards, baseline, 0.9).sum(), log_probs)
    powers = 0.9 ** torch.arange(7, dtype=torch.float64).view(-1, 1, 1)
    returns = ops.discounted_returns(rewards, 0.9)
    assert_close(gradient, powers * (returns - baseline) / 5)


@OBJECTIVES
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_and_product_ops_agree_with_their_twins(objective, dtype):
    _, _, op, count = objective
    log_probs, constants, vector, cotangent = example(20, 2, 33, dtype)
    constants = constants[:count]
    _, pair_weights = op(log_probs.detach(), *constants, 0.96)
    expected = reference.dice_pair_weights(constants[0], 0.96)
    if count == 1:
        expected = reference.discount_powers(constants[0], 0.96) * constants[0]
    assert_close(pair_weights, expected)
    baseline = constants[1] if count == 2 else None
    arguments = (pair_weights, baseline, 0.96)
    assert_close(
        GRADIENT(log_probs.detach(), cotangent, *arguments),
        reference.dice_gradient(log_probs.detach(), cotangent, *arguments),
    )
    assert_close(
        PRODUCT(log_probs.detach(), vector, cotangent, *arguments),
        reference.dice_hessian_product(log_probs.detach(), vector, cotangent, *arguments),
        scale=10,
    )


def test_float32_sums_of_a_thousand_steps_keep_their_digits():
    log_probs, constants, vector, cotangent = example(2000, 1, 4)
    expected = derivatives(reference.dice_objective, log_probs, constants, vector, cotangent, discount=1.0)
    single = derivatives(
        ops.dice_objective,
        log_probs.detach().float().requires_grad_(),
        [x.float() for x in constants],
        vector.float(),
        cotangent.float(),
        discount=1.0,
    )
    for mine, exact in zip(single, expected, strict=True):
        assert (mine.double() - exact).abs().max() < 1e-6 * exact.abs().max()


@OBJECTIVES
def test_a_single_chain_may_leave_out_its_axis(objective):
    ours, _, _, count = objective
    log_probs, constants, vector, cotangent = example(7, 1, 5)
    flat = [x.squeeze(1) for x in (*constants[:count], vector)]
    leaf = log_probs.detach().squeeze(1).requires_grad_()
    value, gradient, product, _ = derivatives(ours, leaf, flat[:-1], flat[-1], cotangent.squeeze(0))
    expected = derivatives(ours, log_probs, constants[:count], vector, cotangent)
    assert value.shape == ()
    for mine, theirs in zip((value, gradient, product), expected, strict=False):
        assert torch.equal(mine, theirs.squeeze(1 if theirs.dim() == 3 else 0))


@OBJECTIVES
@pytest.mark.parametrize("dependent", ["vector", "cotangent", "neither"])
def test_a_third_derivative_raises(objective, dependent):
    ours, _, _, count = objective
    log_probs, constants, vector, cotangent = example()
    vector.requires_grad_(dependent == "vector")
    cotangent.requires_grad_(dependent == "cotangent")
    value = ours(log_probs, *constants[:count], 0.9)
    (gradient,) = torch.autograd.grad(value, log_probs, cotangent, create_graph=True)
    (product,) = torch.autograd.grad(gradient, log_probs, vector, create_graph=True)
    with pytest.raises(RuntimeError, match="DiCE objectives have two derivatives here, and a third was asked for"):
        torch.autograd.grad(product.sum(), log_probs)


@OBJECTIVES
def test_constants_that_require_grad_are_refused(objective):
    ours, _, op, count = objective
    for position in range(count):
        log_probs, constants, _, _ = example()
        name = "advantages" if count == 1 else ("rewards", "baseline")[position]
        constants[position].requires_grad_()
        with pytest.raises(ValueError, match=f"{name} requires grad, but DiCE holds it constant; pass {name}.detach()"):
            ours(log_probs, *constants[:count], 0.9)
        with pytest.raises(RuntimeError, match="DiCE holds them constant"):
            op(log_probs, *constants[:count], 0.9)
        with torch.no_grad():
            ours(log_probs, *constants[:count], 0.9)


@OBJECTIVES
@pytest.mark.parametrize("requires_grad", [False, True])
def test_registrations_hold(objective, requires_grad):
    _, _, op, count = objective
    log_probs, constants, _, _ = example(3, 2, 2, torch.float32)
    check_registration(op, log_probs.detach().requires_grad_(requires_grad), *constants[:count], 0.9)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_registrations_of_the_derivatives_hold(requires_grad):
    log_probs, (pair_weights, baseline), vector, cotangent = example(3, 2, 2, torch.float32)
    log_probs = log_probs.detach().requires_grad_(requires_grad)
    cotangent.requires_grad_(requires_grad)
    check_registration(GRADIENT, log_probs, cotangent, pair_weights, baseline, 0.9)
    check_registration(GRADIENT, log_probs, cotangent, pair_weights, None, 0.9)
    # its derivatives are refused, so it is checked as the last of the chain
    detached = (log_probs.detach(), vector, cotangent.detach(), pair_weights)
    check_registration(PRODUCT, *detached, baseline, 0.9)
    check_registration(PRODUCT, *detached, None, 0.9)
    check_registration(DERIVATIVES, *detached[:2], baseline, detached[1], 0.9)


@OBJECTIVES
def test_compiles_to_one_graph(objective):
    ours, _, _, count = objective
    log_probs, constants, _, _ = example()
    check_compiled(lambda d: ours(d, *constants[:count], 0.9), log_probs.detach())
    check_compiled(lambda d: ours(d, *constants[:count], 0.9), log_probs)


def test_scripts():
    log_probs, (rewards, baseline), _, _ = example()
    source = """
    def run(log_probs: Tensor, rewards: Tensor, baseline: Tensor) -> Tensor:
        return torch.ops.mamrl.dice_objective(log_probs, rewards, baseline, 0.9)[0]
    """
    value = check_scripted(source, log_probs, rewards, baseline)
    expected = ops.dice_objective(log_probs, rewards, baseline, 0.9)
    assert_close(value, expected)
    assert_close(torch.autograd.grad(value.sum(), log_probs), torch.autograd.grad(expected.sum(), log_probs))


@OBJECTIVES
def test_non_contiguous_arguments_give_the_same(objective):
    ours, _, _, count = objective
    log_probs, constants, vector, cotangent = example()
    expected = derivatives(ours, log_probs, constants[:count], vector, cotangent)
    leaf = log_probs.detach().transpose(0, 2).contiguous().transpose(0, 2).requires_grad_()
    actual = derivatives(ours, leaf, [strided(x) for x in constants[:count]], strided(vector), strided(cotangent))
    for mine, theirs in zip(actual, expected, strict=True):
        assert torch.equal(mine, theirs)


@OBJECTIVES
@pytest.mark.parametrize("sizes", [(0, 2, 3), (4, 0, 3)])
def test_nothing_gives_zero(objective, sizes):
    ours, _, _, count = objective
    log_probs, constants, vector, cotangent = example(*sizes)
    value, gradient, product, companion = derivatives(ours, log_probs, constants[:count], vector, cotangent)
    assert value.shape == companion.shape == (sizes[1],)
    assert not value.any()
    assert not companion.any()
    assert gradient.shape == product.shape == sizes


@OBJECTIVES
def test_thread_count_changes_no_bit(objective):
    ours, _, _, count = objective
    log_probs, constants, vector, cotangent = example(60, 5, 311, torch.float32)
    check_thread_counts(lambda: derivatives(ours, log_probs, constants[:count], vector, cotangent))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"log_probs": torch.zeros(4, 2, 3).long()}, TypeError, "log_probs is torch.int64, expected torch.float32"),
        ({"log_probs": torch.zeros(4)}, ValueError, r"log_probs has shape \(4,\), expected \(T, M, K\) or \(T, K\)"),
        ({"log_probs": torch.zeros(4, 2, 0)}, ValueError, "log_probs has no trajectory, expected K at least 1"),
        ({"rewards": torch.zeros(4, 2)}, ValueError, r"rewards has shape \(4, 2\), expected \(4, 2, 3\) as log_probs"),
        ({"rewards": torch.zeros(4, 2, 3).double()}, TypeError, "rewards is torch.float64, expected torch.float32"),
        (
            {"baseline": torch.zeros(4, 2, 3, device="meta")},
            ValueError,
            "baseline is on meta, expected cpu as log_probs",
        ),
        ({"baseline": 0.0}, TypeError, "type 'Tensor' for argument 'baseline' but instead found type 'float'"),
        ({"discount": 1.01}, ValueError, r"discount is 1.01, expected a number in \[0, 1\]"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    zeros = torch.zeros(4, 2, 3)
    arguments = {"log_probs": zeros, "rewards": zeros, "baseline": zeros, "discount": 0.9}
    with pytest.raises(error, match=message):
        ops.dice_objective(**(arguments | change))
    with pytest.raises(error, match=message):
        ops.dice_derivatives(vector=zeros, **(arguments | change))


def test_bad_advantages_are_named():
    with pytest.raises(ValueError, match=r"advantages has shape \(4, 2\), expected \(4, 2, 3\) as log_probs"):
        ops.loaded_dice_objective(torch.zeros(4, 2, 3), torch.zeros(4, 2), 0.9)


@pytest.mark.parametrize("position", range(5))
def test_the_ops_themselves_read_past_no_tensor(position):
    zeros = torch.zeros(4, 2, 3)
    arguments = [zeros, zeros, torch.zeros(2), zeros, zeros]
    arguments[position] = torch.zeros(3, 2, 3)
    with pytest.raises(RuntimeError, match=r"mamrl: .* has shape"):
        PRODUCT(*arguments, 0.9)
    if position != 1:
        with pytest.raises(RuntimeError, match=r"mamrl: .* has shape"):
            GRADIENT(*(x for i, x in enumerate(arguments) if i != 1), 0.9)
    with pytest.raises(RuntimeError, match=r"mamrl: .* has shape"):
        DICE(zeros, zeros, torch.zeros(4, 2), 0.9)
