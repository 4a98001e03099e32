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
from gru_cases import Case, gru_case
from lstm_cases import NUM_STATES, derivatives, relative_errors
from torch.autograd import forward_ad
from torch.func import grad, jvp, vmap

from mamrl import ops
from mamrl.ops import reference

OPS = torch.ops.mamrl
# T, M, K, N, A: one of everything, odd sizes, units below, at and above a register, a full block and a ragged one
SIZES = [(1, 1, 1, 1, 1), (4, 2, 3, 5, 3), (9, 1, 33, 16, 2), (6, 2, 7, 20, 1), (12, 1, 65, 64, 2), (5, 1, 3, 130, 2)]


def middle(case, saved):
    return *case[:5], saved


@DEVICES
@pytest.mark.parametrize("carry", [1.0, 0.7])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_value_and_both_derivatives_agree_with_the_twin(device, sizes, dtype, dense, carry):
    case = gru_case(*sizes, dense=dense, dtype=dtype)
    actual = on("cpu", *derivatives(Case(*on(device, *case)), lambda *tensors: ops.gru(*tensors, carry)))
    errors = relative_errors(actual, derivatives(case, lambda *tensors: reference.gru(*tensors, carry)))
    assert max(errors) < (2e-14 if dtype == torch.float64 else 6e-6), errors


@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradients_agree_with_torchs_own_gru(dtype):
    inputs, units = 7, 8
    torch.manual_seed(0)
    torchs, head = torch.nn.GRU(inputs, units, dtype=dtype), torch.nn.Linear(units, 3, dtype=dtype)
    observations = torch.randn(11, 4, inputs, dtype=dtype)
    weights = [*torchs.parameters(), *head.parameters()]
    expected = head(torchs(observations)[0])

    weight, recurrent, bias, recurrent_bias = torchs.parameters()
    # what the reset gate does not multiply belongs to the inputs
    bias = torch.cat([(bias + recurrent_bias)[: 2 * units], bias[2 * units :]])
    gates = torch.nn.functional.linear(observations, weight, bias).unsqueeze(1)
    ours = recurrent[None], recurrent_bias[None, 2 * units :], head.weight[None], head.bias[None]
    actual = ops.gru(gates, None, *ours).squeeze(1)
    assert_close(actual, expected)
    direction = torch.randn_like(expected)
    assert_close(torch.autograd.grad(actual, weights, direction), torch.autograd.grad(expected, weights, direction))


def test_the_twins_step_from_a_given_state_goes_on_where_the_gru_would():
    case = gru_case(6, 2, 3, 5, 2, dense=True)
    hidden, outputs = torch.zeros(2, 3, 5, dtype=torch.float64), []
    for inputs in case.gate_inputs:
        y, hidden = reference.gru_step(inputs, hidden, *case[2:])
        outputs.append(y)
    assert_close(torch.stack(outputs), case.run())


@pytest.mark.parametrize("dense", [False, True])
def test_derivatives_agree_with_finite_differences_to_second_order(dense):
    case = gru_case(3, 1 if dense else 2, 2, 2, 1, dense)
    check_derivatives(case.run, *case.weights())


def test_a_gradient_is_weighed_by_the_carry_to_the_power_of_the_steps_between():
    # a unit that forgets nothing and does not look at itself: d h_T / d h_t is one number times carry^(T - t)
    horizon, carry = 5, 0.8
    inputs = torch.zeros(horizon, 1, 1, 3, dtype=torch.float64)
    inputs[..., 1] = 20.0
    one = inputs.new_ones(1, 1, 1)
    case = Case(inputs, None, inputs.new_zeros(1, 3, 1), inputs.new_zeros(1, 1), one, inputs.new_zeros(1, 1))
    case = case.requires_grad()
    by_time = torch.autograd.grad(ops.gru(*case, carry)[-1].sum(), case.gate_inputs)[0][:, 0, 0, 2]
    expected = carry ** torch.arange(horizon - 1.0, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(by_time / by_time[-1], expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("carry", [-0.1, 1.1, float("nan")])
def test_a_carry_outside_its_range_is_named(carry):
    with pytest.raises(ValueError, match="gradient_carry is"):
        ops.gru(*gru_case(), carry)


def test_a_third_derivative_raises_instead_of_being_wrong():
    case = gru_case().requires_grad()
    (first,) = torch.autograd.grad(case.run().square().sum(), case.recurrent_weight, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), case.recurrent_weight, create_graph=True)
    with pytest.raises(RuntimeError, match="the GRU has two derivatives here, and a third was asked for"):
        torch.autograd.grad(second.sum(), case.recurrent_weight)


def test_derivatives_asked_for_one_weight_alone_agree_with_all():
    case = gru_case(5, 1, 3, 4, 2).requires_grad()
    for weight in case.weights():
        first = torch.autograd.grad(case.run().square().sum(), weight, create_graph=True)
        twins = torch.autograd.grad(reference.gru(*case).square().sum(), weight, create_graph=True)
        assert_close(first, twins)
        assert_close(
            torch.autograd.grad(first[0].square().sum(), weight), torch.autograd.grad(twins[0].square().sum(), weight)
        )


def test_forward_mode_and_transforms_agree_with_reverse_mode():
    case = gru_case(3, 2, 2, 3, 2)
    weights = case.weights()
    directions = tuple(torch.linspace(-1, 1, w.numel(), dtype=w.dtype).view_as(w) for w in weights)

    def loss(*given):
        return case.run(*given).square().sum()

    every = tuple(range(len(weights)))
    gradient = grad(loss, argnums=every)
    leaves = case.requires_grad().weights()
    expected = torch.autograd.grad(case.run(*leaves).square().sum(), leaves)
    assert_close(gradient(*weights), expected)
    along = sum((g * d).sum() for g, d in zip(expected, directions, strict=True))
    assert_close(jvp(loss, weights, directions)[1], along)
    with forward_ad.dual_level():
        output = loss(*(forward_ad.make_dual(w, d) for w, d in zip(weights, directions, strict=True)))
        assert_close(forward_ad.unpack_dual(output).tangent, along)
    first = torch.autograd.grad(case.run(*leaves).square().sum(), leaves, create_graph=True)
    products = torch.autograd.grad(first, leaves, directions)
    assert_close(jvp(gradient, weights, directions)[1], products)
    samples = tuple(torch.stack([w, w + 0.1, 0.5 * w]) for w in weights)
    one_by_one = [gradient(*(s[i] for s in samples)) for i in range(3)]
    assert_close(vmap(gradient)(*samples), tuple(map(torch.stack, zip(*one_by_one, strict=True))))
    with pytest.raises(RuntimeError, match="reverse-mode derivative of a GRU's tangent is not there"):
        grad(lambda w: jvp(lambda v: loss(v, *weights[1:]), (w,), (w,))[1])(weights[0])
    with pytest.raises(RuntimeError, match=r"gradient_carry is 0\.5, but only with 1 a GRU has forward-mode"):
        jvp(lambda *w: ops.gru(*case.with_weights(*w), 0.5), weights, directions)


@pytest.mark.parametrize("dense", [False, True])
def test_registrations_hold(dense):
    case = gru_case(2, 2, 2, 3, 2, dense, torch.float32).requires_grad()
    check_registration(OPS.gru.default, *case, 0.5)
    outputs, saved = (x.detach() for x in OPS.gru(*case, 1.0))
    grad_outputs = torch.randn_like(outputs).requires_grad_()
    check_registration(OPS.gru_backward.default, grad_outputs, *middle(case, saved), 0.5)
    # the double backward's own derivative raises, so it is registered for constants
    constants = [None if x is None else x.detach() for x in (grad_outputs, *middle(case, saved))]
    *directions, adjoints = OPS.gru_backward(*constants, 0.5)
    check_registration(OPS.gru_double_backward.default, *directions, *constants, adjoints, 0.5)


def test_compiles_to_one_graph():
    case = gru_case(3, 1, 2, 3, 2).requires_grad()
    check_compiled(case.run, *case.weights())
    dense = gru_case(3, 1, 2, 3, 2, dense=True).requires_grad()
    check_compiled(dense.run, *dense.weights())


def test_scripts():
    case = gru_case()
    source = """
    def run(gate_inputs: Tensor, states: Tensor, recurrent_weight: Tensor, recurrent_bias: Tensor,
            head_weight: Tensor, head_bias: Tensor):
        weights = recurrent_weight, recurrent_bias, head_weight, head_bias
        return torch.ops.mamrl.gru(gate_inputs, states, weights[0], weights[1], weights[2], weights[3], 1.0)[0]
    """
    assert torch.equal(check_scripted(source, *case), case.run())


def test_non_contiguous_arguments_give_the_same():
    case = gru_case(5, 2, 3, 4, 2)
    assert torch.equal(ops.gru(*(strided(x) for x in case)), case.run())
    direction = torch.randn(5, 2, 3, 2, dtype=torch.float64)
    _, saved = OPS.gru(*case, 1.0)
    first = direction, *middle(case, saved)
    expected = OPS.gru_backward(*first, 1.0)
    assert_same(OPS.gru_backward(*(strided(x) for x in first), 1.0), expected)
    second = *expected[:5], *first, expected[5]
    assert_same(OPS.gru_double_backward(*(strided(x) for x in second), 1.0), OPS.gru_double_backward(*second, 1.0))


def assert_same(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("sizes", [(0, 2, 3), (4, 0, 3), (4, 2, 0)])
def test_nothing_gives_nothing(sizes, dense):
    case = gru_case(*sizes, dense=dense).requires_grad()
    outputs = case.run()
    assert outputs.shape == (*sizes, 2)
    for weight, gradient in zip(case.weights(), torch.autograd.grad(outputs.sum(), case.weights()), strict=True):
        assert gradient.shape == weight.shape
        assert not gradient.any()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(("chains", "trajectories"), [(3, 70), (1, 700)])
def test_thread_count_changes_no_bit(chains, trajectories, dense):
    case = gru_case(5, chains, trajectories, 20, 2, dense, torch.float32)
    check_thread_counts(lambda: derivatives(case, ops.gru))


def test_a_chain_among_others_is_bit_for_bit_the_chain_alone():
    case = gru_case(6, 3, 40, 16, 2, dtype=torch.float32)
    alone = case._replace(**{name: x[1:2] for name, x in case._asdict().items() if name != "states"})
    alone = alone._replace(states=case.states[:, 1:2])
    assert torch.equal(ops.gru(*alone)[:, 0], ops.gru(*case)[:, 1])


def test_large_preactivations_saturate_and_nan_is_not_hidden():
    for dtype in DTYPES:
        case = gru_case(3, 1, 4, 4, 2, dense=True, dtype=dtype)
        huge = case._replace(gate_inputs=case.gate_inputs * 1e30)
        assert_close(ops.gru(*huge), reference.gru(*huge))
        case.gate_inputs[1, 0, 2, 5] = float("nan")
        broken = ops.gru(*case)
        assert torch.equal(broken.isnan(), reference.gru(*case).isnan())


@pytest.mark.parametrize("wrong", [-1, NUM_STATES, 2**62, -(2**63)])
def test_a_state_outside_the_table_is_named_before_anything_is_read(wrong):
    case = gru_case()
    outputs, saved = OPS.gru(*case, 1.0)
    case.states[3, 1, 2] = wrong
    with pytest.raises(ValueError, match=f"states holds {wrong}, expected at least 0 and below {NUM_STATES}"):
        ops.gru(*case)
    with pytest.raises(RuntimeError, match="mamrl: states holds"):
        OPS.gru_backward(outputs, *middle(case, saved), 1.0)


BAD_ARGUMENTS = [
    ({"gate_inputs": torch.zeros(2, 5, 9).half()}, TypeError, "gate_inputs is torch.float16, expected torch.float"),
    ({"gate_inputs": torch.zeros(2, 5, 9)}, TypeError, "recurrent_weight is torch.float64, expected torch.float32"),
    ({"gate_inputs": torch.zeros(2, 5).double()}, ValueError, r"gate_inputs has shape \(2, 5\), expected a table"),
    ({"gate_inputs": torch.zeros(2, 5, 12).double()}, ValueError, r"\(2, 5, 12\), expected \(2, 5, 9\), that is"),
    ({"gate_inputs": torch.zeros(2, 0, 9).double()}, ValueError, r"gate_inputs has shape \(2, 0, 9\), expected a"),
    ({"states": torch.zeros(4, 2, 3)}, TypeError, "states is torch.float32, expected torch.int64"),
    ({"states": torch.zeros(4, 1, 3).long()}, ValueError, r"states has shape \(4, 1, 3\), expected \(T, M, K\)"),
    ({"states": torch.zeros(4, 2, 3, device="meta").long()}, ValueError, "states is on meta, expected cpu"),
    ({"states": None}, ValueError, r"expected \(T, M, K, 3N\) where states is None"),
    ({"recurrent_weight": torch.zeros(9, 3).double()}, ValueError, r"recurrent_weight has shape \(9, 3\), expected"),
    ({"recurrent_weight": torch.zeros(2, 12, 3).double()}, ValueError, r"expected \(2, 9, 3\), that is \(M, 3N, N\)"),
    ({"recurrent_weight": torch.zeros(2, 0, 0).double()}, ValueError, "with N >= 1"),
    (
        {"recurrent_bias": torch.zeros(2, 9).double()},
        ValueError,
        r"recurrent_bias has shape \(2, 9\), expected \(2, 3\)",
    ),
    ({"recurrent_bias": torch.zeros(2, 3)}, TypeError, "recurrent_bias is torch.float32, expected torch.float64"),
    ({"head_weight": torch.zeros(2, 2, 4).double()}, ValueError, r"\(2, 2, 4\), expected \(2, 2, 3\)"),
    ({"head_weight": torch.zeros(2, 0, 3).double()}, ValueError, "with A >= 1"),
    ({"head_bias": torch.zeros(2, 3).double()}, ValueError, r"head_bias has shape \(2, 3\), expected \(2, 2\)"),
    ({"head_bias": torch.zeros(2, 2, device="meta").double()}, ValueError, "head_bias is on meta, expected cpu"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        ops.gru(*gru_case()._replace(**change))


def test_the_compiled_ops_check_what_they_are_given():
    case = gru_case()
    outputs, saved = OPS.gru(*case, 1.0)
    with pytest.raises(RuntimeError, match=r"mamrl: saved has shape \(3, 2, 3, 5, 16\), expected \(4, 2, 3, 5, 16\)"):
        OPS.gru_backward(outputs, *middle(case, saved[1:]), 1.0)
    with pytest.raises(RuntimeError, match=r"mamrl: TypeError: grad_outputs is torch.float32, expected torch.float64"):
        OPS.gru_backward(outputs.float(), *middle(case, saved), 1.0)
    with pytest.raises(RuntimeError, match=r"mamrl: recurrent_bias has shape \(2, 2\), expected \(2, 3\)"):
        OPS.gru(*case._replace(recurrent_bias=case.recurrent_bias[:, 1:]), 1.0)
    with pytest.raises(RuntimeError, match=r"mamrl: recurrent_weight and head_weight have shapes .*\(M, 3N, N\)"):
        OPS.gru(*case._replace(recurrent_weight=case.recurrent_weight[0]), 1.0)
    *directions, adjoints = OPS.gru_backward(outputs, *middle(case, saved), 1.0)
    other = case._replace(states=case.states.clamp(max=0))
    with pytest.raises(RuntimeError, match="mamrl: the direction must have the shapes of the weights"):
        OPS.gru_double_backward(directions[0][:, 1:], *directions[1:], outputs, *middle(other, saved), adjoints, 1.0)
    with pytest.raises(RuntimeError, match=r"mamrl: adjoints has shape \(0,\)"):
        OPS.gru_double_backward(*directions, outputs, *middle(case, saved), adjoints.new_empty(0), 1.0)
