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
from lstm_cases import NUM_STATES, Case, derivatives, lstm_case, relative_errors

from mamrl import ops
from mamrl.ops import reference

OPS = torch.ops.mamrl
# T, M, K, N, A: one of everything, odd sizes, units below, at and above a register, a full block and a ragged one
SIZES = [(1, 1, 1, 1, 1), (4, 2, 3, 5, 3), (9, 1, 33, 16, 2), (6, 2, 7, 20, 1), (12, 1, 65, 64, 2), (5, 1, 3, 130, 2)]


@DEVICES
@pytest.mark.parametrize("carry", [1.0, 0.7])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_value_and_both_derivatives_agree_with_the_twin(device, sizes, dtype, dense, carry):
    case = lstm_case(*sizes, dense=dense, dtype=dtype)
    actual = on("cpu", *derivatives(Case(*on(device, *case)), lambda *tensors: ops.lstm(*tensors, carry)))
    errors = relative_errors(actual, derivatives(case, lambda *tensors: reference.lstm(*tensors, carry)))
    assert max(errors) < (2e-14 if dtype == torch.float64 else 6e-6), errors


def test_a_carry_of_zero_gives_the_derivatives_of_a_network_that_is_told_its_states():
    case = lstm_case(6, 1, 3, 4, 2)
    gate_inputs, states, recurrent, head, bias = case
    with torch.no_grad():
        before = [torch.zeros(1, 3, 4, dtype=torch.float64)] * 2
        told = []
        for t in range(6):
            told.append(before)
            inputs = gate_inputs.gather(1, states[t].unsqueeze(-1).expand(-1, -1, 16))
            before = reference.lstm_cell(inputs + before[0] @ recurrent.mT, before[1])
    leaf = recurrent.clone().requires_grad_()
    steps = [
        reference.lstm_cell(gate_inputs.gather(1, states[t].unsqueeze(-1).expand(-1, -1, 16)) + hidden @ leaf.mT, cell)[
            0
        ]
        for t, (hidden, cell) in enumerate(told)
    ]
    expected = torch.autograd.grad((torch.stack(steps) @ head.mT).square().sum(), leaf)[0]
    without_bias = case._replace(head_bias=torch.zeros_like(bias)).requires_grad()
    ops.lstm(*without_bias, 0.0).square().sum().backward()
    assert_close(without_bias.recurrent_weight.grad, expected)


def test_a_gradient_is_weighed_by_the_carry_to_the_power_of_the_steps_between():
    # a cell that forgets nothing and does not look at its output: d h_T / d c_t is one number times carry^(T - t)
    horizon, carry = 5, 0.8
    inputs = torch.zeros(horizon, 1, 1, 4, dtype=torch.float64)
    inputs[..., 1] = 40.0
    case = Case(
        inputs, None, inputs.new_zeros(1, 4, 1), inputs.new_ones(1, 1, 1), inputs.new_zeros(1, 1)
    ).requires_grad()
    last = ops.lstm(*case, carry)[-1].sum()
    by_time = torch.autograd.grad(last, case.gate_inputs)[0][:, 0, 0, 2]
    assert_close(by_time / by_time[-1], carry ** torch.arange(horizon - 1.0, -1, -1, dtype=torch.float64))


@pytest.mark.parametrize("carry", [-0.1, 1.1, float("nan")])
def test_a_carry_outside_its_range_is_named(carry):
    case = lstm_case()
    outputs, saved = OPS.lstm(*case, 1.0)
    for call in (lambda: ops.lstm(*case, carry), lambda: ops.lstm_recorded(*case, outputs, saved, carry)):
        with pytest.raises(ValueError, match="gradient_carry is"):
            call()


def test_value_agrees_with_torchs_own_lstm():
    case = lstm_case(horizon=11, chains=1, trajectories=4, units=8, outputs=3, dense=True)
    torchs = torch.nn.LSTM(32, 8, dtype=torch.float64)
    with torch.no_grad():
        torchs.weight_ih_l0.copy_(torch.eye(32))
        torchs.weight_hh_l0.copy_(case.recurrent_weight[0])
        torchs.bias_ih_l0.zero_()
        torchs.bias_hh_l0.zero_()
        hidden = torchs(case.gate_inputs[:, 0])[0]
    assert_close(case.run()[:, 0], hidden @ case.head_weight[0].T + case.head_bias[0])


@pytest.mark.parametrize("dense", [False, True])
def test_derivatives_agree_with_finite_differences_to_second_order(dense):
    case = lstm_case(3, 1 if dense else 2, 2, 2, 1, dense)
    check_derivatives(case.run, *case.weights())


def test_recorded_outputs_have_the_derivatives_of_the_lstm_itself():
    case = lstm_case(7, 2, 4, 6, 3)
    outputs, saved = OPS.lstm(*case, 1.0)
    assert torch.equal(ops.lstm_recorded(*case, outputs, saved), outputs)
    recorded = derivatives(case, lambda *arguments: ops.lstm_recorded(*arguments, outputs, saved))
    for actual, expected in zip(recorded, derivatives(case, ops.lstm), strict=True):
        assert torch.equal(actual, expected)


def test_a_third_derivative_raises_instead_of_being_wrong():
    case = lstm_case().requires_grad()
    (first,) = torch.autograd.grad(case.run().square().sum(), case.recurrent_weight, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), case.recurrent_weight, create_graph=True)
    with pytest.raises(RuntimeError, match="the LSTM has two derivatives here, and a third was asked for"):
        torch.autograd.grad(second.sum(), case.recurrent_weight)


def test_derivatives_asked_for_one_weight_alone_agree_with_all():
    case = lstm_case(5, 1, 3, 4, 2).requires_grad()
    for weight in case.weights():
        first = torch.autograd.grad(case.run().square().sum(), weight, create_graph=True)
        twins = torch.autograd.grad(reference.lstm(*case).square().sum(), weight, create_graph=True)
        assert_close(first, twins)
        assert_close(
            torch.autograd.grad(first[0].square().sum(), weight), torch.autograd.grad(twins[0].square().sum(), weight)
        )


def test_policy_gives_log_probabilities_and_entropies_of_the_softmax():
    case = lstm_case(6, 2, 3, 5, 3)
    actions = torch.randint(3, (6, 2, 3))
    log_probs, entropies = ops.lstm_policy(*case, actions)
    chosen = torch.distributions.Categorical(logits=reference.lstm(*case))
    assert_close(log_probs, chosen.log_prob(actions))
    assert_close(entropies, chosen.entropy())


def test_value_is_the_only_output():
    case = lstm_case(6, 2, 3, 5, 1)
    assert_close(ops.lstm_value(*case), reference.lstm(*case).squeeze(-1))
    with pytest.raises(ValueError, match="head_weight has 2 outputs, expected 1"):
        ops.lstm_value(*lstm_case(outputs=2))


@pytest.mark.parametrize("dense", [False, True])
def test_registrations_hold(dense):
    case = lstm_case(2, 2, 2, 3, 2, dense, torch.float32).requires_grad()
    check_registration(OPS.lstm.default, *case, 0.5)
    outputs, saved = (x.detach() for x in OPS.lstm(*case, 1.0))
    check_registration(OPS.lstm_recorded.default, *case, outputs, saved, 0.5)
    middle = (case.gate_inputs, case.states, case.recurrent_weight, case.head_weight, saved)
    grad_outputs = torch.randn_like(outputs).requires_grad_()
    check_registration(OPS.lstm_backward.default, grad_outputs, *middle, 0.5)
    # the double backward's own derivative raises, so it is registered for constants
    constants = [None if x is None else x.detach() for x in (grad_outputs, *middle)]
    *directions, adjoints = OPS.lstm_backward(*constants, 0.5)
    check_registration(OPS.lstm_double_backward.default, *directions, *constants, adjoints, 0.5)


def test_compiles_to_one_graph():
    case = lstm_case(3, 1, 2, 3, 2).requires_grad()
    check_compiled(case.run, *case.weights())
    dense = lstm_case(3, 1, 2, 3, 2, dense=True).requires_grad()
    check_compiled(dense.run, *dense.weights())


def test_scripts():
    case = lstm_case()
    source = """
    def run(gate_inputs: Tensor, states: Tensor, recurrent_weight: Tensor, head_weight: Tensor, head_bias: Tensor):
        return torch.ops.mamrl.lstm(gate_inputs, states, recurrent_weight, head_weight, head_bias, 1.0)[0]
    """
    assert torch.equal(check_scripted(source, *case), case.run())


def test_non_contiguous_arguments_give_the_same():
    case = lstm_case(5, 2, 3, 4, 2)
    assert torch.equal(ops.lstm(*(strided(x) for x in case)), case.run())
    grad = torch.randn(5, 2, 3, 2, dtype=torch.float64)
    _, saved = OPS.lstm(*case, 1.0)
    middle = (case.gate_inputs, case.states, case.recurrent_weight, case.head_weight, saved)
    expected = OPS.lstm_backward(grad, *middle, 1.0)
    assert_same(OPS.lstm_backward(strided(grad), *(strided(x) for x in middle), 1.0), expected)
    second = (*expected[:4], grad, *middle, expected[4])
    again = OPS.lstm_double_backward(*(strided(x) for x in second), 1.0)
    assert_same(again, OPS.lstm_double_backward(*second, 1.0))


def assert_same(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("sizes", [(0, 2, 3), (4, 0, 3), (4, 2, 0)])
def test_nothing_gives_nothing(sizes, dense):
    case = lstm_case(*sizes, dense=dense).requires_grad()
    outputs = case.run()
    assert outputs.shape == (*sizes, 2)
    for weight, grad in zip(case.weights(), torch.autograd.grad(outputs.sum(), case.weights()), strict=True):
        assert grad.shape == weight.shape
        assert not grad.any()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(("chains", "trajectories"), [(3, 70), (1, 700)])
def test_thread_count_changes_no_bit(chains, trajectories, dense):
    case = lstm_case(5, chains, trajectories, 20, 2, dense, torch.float32)
    check_thread_counts(lambda: derivatives(case, ops.lstm))


def test_a_chain_among_others_is_bit_for_bit_the_chain_alone():
    case = lstm_case(6, 3, 40, 16, 2, dtype=torch.float32)
    alone = case._replace(**{name: x[1:2] for name, x in case._asdict().items() if name != "states"})
    alone = alone._replace(states=case.states[:, 1:2])
    assert torch.equal(ops.lstm(*alone)[:, 0], ops.lstm(*case)[:, 1])


def test_large_preactivations_saturate_and_nan_is_not_hidden():
    for dtype in DTYPES:
        case = lstm_case(3, 1, 4, 4, 2, dense=True, dtype=dtype)
        huge = case._replace(gate_inputs=case.gate_inputs * 1e30)
        assert_close(ops.lstm(*huge), reference.lstm(*huge))
        case.gate_inputs[1, 0, 2, 5] = float("nan")
        broken = ops.lstm(*case)
        assert torch.equal(broken.isnan(), reference.lstm(*case).isnan())


@pytest.mark.parametrize("wrong", [-1, NUM_STATES, 2**62, -(2**63)])
def test_a_state_outside_the_table_is_named_before_anything_is_read(wrong):
    case = lstm_case()
    outputs, saved = OPS.lstm(*case, 1.0)
    case.states[3, 1, 2] = wrong
    for call in (lambda: ops.lstm(*case), lambda: ops.lstm_recorded(*case, outputs, saved)):
        with pytest.raises(ValueError, match=f"states holds {wrong}, expected at least 0 and below {NUM_STATES}"):
            call()
    middle = (outputs, case.gate_inputs, case.states, case.recurrent_weight, case.head_weight, saved)
    with pytest.raises(RuntimeError, match="mamrl: states holds"):
        OPS.lstm_backward(*middle, 1.0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"gate_inputs": torch.zeros(2, 5, 12).half()},
            TypeError,
            "gate_inputs is torch.float16, expected torch.float",
        ),
        (
            {"gate_inputs": torch.zeros(2, 5, 12)},
            TypeError,
            "recurrent_weight is torch.float64, expected torch.float32",
        ),
        ({"gate_inputs": torch.zeros(2, 5).double()}, ValueError, r"gate_inputs has shape \(2, 5\), expected a table"),
        (
            {"gate_inputs": torch.zeros(2, 5, 11).double()},
            ValueError,
            r"gate_inputs has shape \(2, 5, 11\), expected \(",
        ),
        (
            {"gate_inputs": torch.zeros(2, 0, 12).double()},
            ValueError,
            r"gate_inputs has shape \(2, 0, 12\), expected a",
        ),
        ({"states": torch.zeros(4, 2, 3)}, TypeError, "states is torch.float32, expected torch.int64"),
        ({"states": torch.zeros(4, 1, 3).long()}, ValueError, r"states has shape \(4, 1, 3\), expected \(T, M, K\)"),
        ({"states": torch.zeros(4, 2, 3, device="meta").long()}, ValueError, "states is on meta, expected cpu"),
        ({"states": None}, ValueError, r"expected \(T, M, K, 4N\) where states is None"),
        ({"recurrent_weight": torch.zeros(12, 3).double()}, ValueError, r"recurrent_weight has shape \(12, 3\)"),
        ({"recurrent_weight": torch.zeros(2, 11, 3).double()}, ValueError, r"expected \(2, 12, 3\), that is"),
        ({"recurrent_weight": torch.zeros(2, 0, 0).double()}, ValueError, "with N >= 1"),
        (
            {"head_weight": torch.zeros(2, 2, 4).double()},
            ValueError,
            r"head_weight has shape \(2, 2, 4\), expected \(2, 2",
        ),
        ({"head_weight": torch.zeros(2, 0, 3).double()}, ValueError, "with A >= 1"),
        ({"head_bias": torch.zeros(2, 3).double()}, ValueError, r"head_bias has shape \(2, 3\), expected \(2, 2\)"),
        ({"head_bias": torch.zeros(2, 2, device="meta").double()}, ValueError, "head_bias is on meta, expected cpu"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        ops.lstm(*lstm_case()._replace(**change))


def test_recordings_of_another_shape_are_named():
    case = lstm_case()
    outputs, saved = OPS.lstm(*case, 1.0)
    with pytest.raises(ValueError, match=r"outputs has shape \(3, 2, 3, 2\), expected \(4, 2, 3, 2\)"):
        ops.lstm_recorded(*case, outputs[1:], saved)
    with pytest.raises(ValueError, match=r"saved has shape \(0,\), expected \(4, 2, 3, 5, 16\)"):
        ops.lstm_recorded(*case, outputs, saved.new_empty(0))
    with pytest.raises(ValueError, match="outputs requires grad, but a rollout recorded it"):
        ops.lstm_recorded(*case, outputs.requires_grad_(), saved)


def test_the_compiled_ops_check_what_they_are_given():
    case = lstm_case()
    outputs, saved = OPS.lstm(*case, 1.0)
    middle = (case.gate_inputs, case.states, case.recurrent_weight, case.head_weight)
    with pytest.raises(RuntimeError, match=r"mamrl: saved has shape \(3, 2, 3, 5, 16\), expected \(4, 2, 3, 5, 16\)"):
        OPS.lstm_backward(outputs, *middle, saved[1:], 1.0)
    with pytest.raises(RuntimeError, match=r"mamrl: TypeError: grad_outputs is torch.float32, expected torch.float64"):
        OPS.lstm_backward(outputs.float(), *middle, saved, 1.0)
    *directions, adjoints = OPS.lstm_backward(outputs, *middle, saved, 1.0)
    with pytest.raises(RuntimeError, match="mamrl: the direction must have the shapes of the weights"):
        OPS.lstm_double_backward(
            directions[0][:, 1:],
            *directions[1:],
            outputs,
            case.gate_inputs,
            case.states.clamp(max=0),
            *middle[2:],
            saved,
            adjoints,
            1.0,
        )
    with pytest.raises(RuntimeError, match=r"mamrl: adjoints has shape \(0,\)"):
        OPS.lstm_double_backward(*directions, outputs, *middle, saved, adjoints.new_empty(0), 1.0)
