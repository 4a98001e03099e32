import pytest
import torch
from checks import (
    DEVICES,
    DTYPES,
    ON_CUDA_KERNELS,
    assert_close,
    check_compiled,
    check_registration,
    check_scripted,
    check_thread_counts,
    on,
    on_cpu_kernels,
    strided,
)

from mamrl import ops
from mamrl.ops import reference

OP = torch.ops.mamrl.linear_baseline.default


def dense(horizon=30, chains=2, trajectories=9, size=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    observations = torch.randn(horizon, chains, trajectories, size, generator=generator, dtype=dtype)
    returns = torch.randn(horizon, chains, trajectories, generator=generator, dtype=dtype).cumsum(0)
    return observations, returns


def indexed(horizon=30, chains=2, trajectories=9, num_states=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(5)
    states = torch.randint(num_states, (horizon, chains, trajectories), generator=generator)
    returns = torch.randn(horizon, chains, trajectories, generator=generator, dtype=dtype).cumsum(0)
    return states, returns


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 17, 40])
@pytest.mark.parametrize("batch", [(30, 2, 9), (11, 1, 130), (150, 1, 64)])
def test_prediction_from_vectors_agrees_with_the_twin(device, dtype, size, batch):
    observations, returns = dense(*batch, size, dtype)
    expected = reference.linear_baseline(observations, returns, 0, 1e-5)
    actual = ops.linear_baseline(*on(device, observations, returns)).cpu()
    assert_close(actual, expected, scale=1e4 if dtype == torch.float64 else 1)


@DEVICES
@pytest.mark.parametrize("case", ["offset", "low rank", "time", "constant"])
def test_float32_observations_that_nearly_determine_each_other_are_summed_in_float64(device, case):
    # with sums in float32 each of these is off by 1e-4 to 1e-2
    observations, returns = dense(150, 1, 64, 8, torch.float32)
    noise = observations.clone()
    if case == "offset":
        observations += 10
    elif case == "low rank":
        observations[..., 4:] = observations[..., :4].flip(-1) + 0.01 * noise[..., 4:]
    elif case == "time":
        observations[..., 0] = torch.arange(150.0).view(-1, 1, 1) / 100 + 1e-3 * noise[..., 0]
    else:
        observations[..., 0] = 1 + 1e-3 * noise[..., 0]
    expected = reference.linear_baseline(observations, returns, 0, 1e-5)
    assert_close(ops.linear_baseline(*on(device, observations, returns)).cpu(), expected)


def test_float32_observations_too_large_to_be_squared_twice_are_summed_in_float64():
    observations, returns = dense(30, 1, 9, 3, torch.float32)
    scaled = observations * 2.0**40
    expected = reference.linear_baseline(scaled, returns, 0, 1e-5)
    assert_close(ops.linear_baseline(scaled, returns), expected)


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_states", [1, 2, 5, 17, 200])
@pytest.mark.parametrize("batch", [(30, 2, 9), (11, 1, 130), (150, 1, 64)])
def test_prediction_from_states_agrees_with_the_twin(device, dtype, num_states, batch):
    states, returns = indexed(*batch, num_states, dtype)
    expected = reference.linear_baseline(states, returns, num_states, 1e-5)
    actual = ops.linear_baseline(*on(device, states, returns), num_states=num_states).cpu()
    assert_close(actual, expected, scale=1e5 if dtype == torch.float64 else 1)


def test_states_and_their_one_hot_vectors_give_the_same():
    states, returns = indexed()
    vectors = torch.nn.functional.one_hot(states, 5).to(returns.dtype)
    assert_close(ops.linear_baseline(states, returns, num_states=5), ops.linear_baseline(vectors, returns), scale=1e5)


def test_what_is_linear_in_the_features_is_predicted_exactly():
    observations, _ = dense()
    time = torch.arange(30, dtype=torch.float64).view(-1, 1, 1) / 100
    returns = 3 + observations[..., 0] - 2 * observations[..., 2] ** 2 + time - 4 * time**3
    torch.testing.assert_close(ops.linear_baseline(observations, returns, ridge=1e-12), returns, rtol=1e-6, atol=1e-6)


def test_the_residual_is_orthogonal_to_the_features():
    observations, returns = dense()
    residual = returns - ops.linear_baseline(observations, returns)
    for feature in (observations[..., 1], observations[..., 3] ** 2, torch.ones_like(returns)):
        assert (residual * feature).sum((0, 2)).abs().max() < 1e-3


# where memory ends within a register of the last observations, other loads must give the same bits
@pytest.mark.parametrize("size", [1, 3, 4, 7, 17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_chain_has_a_fit_of_its_own(size, dtype):
    observations, returns = dense(chains=3, trajectories=18, size=size, dtype=dtype)
    together = ops.linear_baseline(observations, returns)
    for m in range(3):
        alone = ops.linear_baseline(observations[:, m], returns[:, m])
        assert torch.equal(together[:, m], alone)


def test_every_chain_has_a_fit_of_its_own_over_states():
    states, returns = indexed(chains=3)
    together = ops.linear_baseline(states, returns, num_states=5)
    assert torch.equal(together[:, 1], ops.linear_baseline(states[:, 1], returns[:, 1], num_states=5))


def singular_case():
    # 256 samples of one column twice, all of its entries +-1: every number in the factorisation is exact, and so is
    # the zero on its diagonal until the ridge is no longer lost beside 256
    column = torch.randn(16, 1, 16, 1, generator=torch.Generator().manual_seed(0)).sign().double()
    return torch.cat([column, column], -1), 2 * column.squeeze(-1)


def test_a_singular_system_is_given_more_ridge():
    observations, returns = singular_case()
    predictions = ops.linear_baseline(observations, returns, ridge=1e-16)
    torch.testing.assert_close(predictions, returns, rtol=0.01, atol=0.01)


def poisoned(poison):
    """Arguments whose chain 1 cannot be fitted: vectors, their returns, returns by state."""
    observations, returns = dense()
    states, _ = indexed()
    spoilt = observations.clone()
    spoilt[3, 1, 2, 0] = poison
    spoilt_returns = returns.clone()
    spoilt_returns[3, 1, 2] = poison
    return [(spoilt, returns, None), (observations, spoilt_returns, None), (states, spoilt_returns, 5)]


@on_cpu_kernels
def test_singular_systems_without_end_end_in_a_sentence():
    with pytest.raises(ValueError, match="the normal equations of chain 0 stay singular"):
        ops.linear_baseline(*singular_case(), ridge=1e-24)


@on_cpu_kernels
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_inf_end_in_a_sentence_and_not_in_the_predictions(poison):
    message = "the normal equations of chain 1 stay singular .* do the observations or returns hold NaN or inf"
    for observations, returns, num_states in poisoned(poison):
        with pytest.raises(ValueError, match=message):
            ops.linear_baseline(observations, returns, num_states=num_states)


@ON_CUDA_KERNELS
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_on_a_gpu_the_chain_that_cannot_be_fitted_is_nan_and_the_others_are_not(device, poison):
    for observations, returns, num_states in poisoned(poison):
        predictions = ops.linear_baseline(observations.to(device), returns.to(device), num_states=num_states)
        assert predictions[:, 1].isnan().all()
        assert predictions[:, 0].isfinite().all()
    assert ops.linear_baseline(*(x.to(device) for x in singular_case()), ridge=1e-24).isnan().all()


def test_registrations_hold():
    observations, returns = dense(4, 2, 3, 2, torch.float32)
    check_registration(OP, observations, returns, 0, 1e-5)
    states, returns = indexed(4, 2, 3, 5, torch.float32)
    check_registration(OP, states, returns, 5, 1e-5)


def test_compiles_to_one_graph():
    check_compiled(lambda o, r: ops.linear_baseline(o, r), *dense())
    check_compiled(lambda s, r: ops.linear_baseline(s, r, num_states=5), *indexed())


def test_scripts():
    observations, returns = dense()
    source = """
    def run(observations: Tensor, returns: Tensor) -> Tensor:
        return torch.ops.mamrl.linear_baseline(observations, returns, 0, 1e-5)
    """
    assert torch.equal(check_scripted(source, observations, returns), ops.linear_baseline(observations, returns))


def test_non_contiguous_arguments_give_the_same():
    for (observations, returns), states in ((dense(), None), (indexed(), 5)):
        expected = ops.linear_baseline(observations, returns, num_states=states)
        actual = ops.linear_baseline(strided(observations), strided(returns), num_states=states)
        assert torch.equal(actual, expected)


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0), (0, 3)])
def test_nothing_gives_nothing(shape):
    returns = torch.zeros(shape)
    assert ops.linear_baseline(torch.zeros(*shape, 4), returns).shape == shape
    assert ops.linear_baseline(torch.zeros(shape, dtype=torch.int64), returns, num_states=2).shape == shape


def test_thread_count_changes_no_bit():
    observations, returns = dense(50, 7, 40, 17, torch.float32)
    check_thread_counts(lambda: ops.linear_baseline(observations, returns))
    states, returns = indexed(300, 7, 64, 5, torch.float32)
    check_thread_counts(lambda: ops.linear_baseline(states, returns, num_states=5))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"returns": torch.zeros(6, 2, 3).half()}, TypeError, "returns is torch.float16, expected torch.float32"),
        ({"returns": torch.zeros(6)}, ValueError, r"returns has shape \(6,\), expected \(T, M, K\) or \(T, K\)"),
        (
            {"returns": torch.zeros(6, 2, 3, requires_grad=True)},
            ValueError,
            "returns requires grad, but linear_baseline",
        ),
        (
            {"observations": torch.zeros(6, 2, 3, 4).double()},
            TypeError,
            "observations is torch.float64, expected torch.flo",
        ),
        (
            {"observations": torch.zeros(6, 2, 3)},
            ValueError,
            r"observations has shape \(6, 2, 3\), expected one dimension more than",
        ),
        ({"observations": torch.zeros(6, 2, 3, 4, requires_grad=True)}, ValueError, "observations requires grad"),
        ({"observations": torch.zeros(6, 2, 3, 4, device="meta")}, ValueError, "observations is on meta, expected cpu"),
        (
            {"observations": torch.zeros(6, 2, 3).long()},
            ValueError,
            "num_states is None, expected the number of states",
        ),
        ({"num_states": 4}, ValueError, "num_states is 4, expected None since observations are no int64 states"),
        ({"ridge": 0.0}, ValueError, "ridge is 0, expected a positive number"),
        ({"ridge": float("nan")}, ValueError, "ridge is nan, expected a positive number"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"observations": torch.zeros(6, 2, 3, 4), "returns": torch.zeros(6, 2, 3)}
    with pytest.raises(error, match=message):
        ops.linear_baseline(**(arguments | change))


@pytest.mark.parametrize("wrong", [-1, 5, 2**62])
def test_a_state_outside_its_range_is_named_before_anything_is_read(wrong):
    states, returns = indexed()
    states[3, 1, 2] = wrong
    with pytest.raises(ValueError, match=f"^observations holds {wrong}, expected at least 0 and below 5$"):
        ops.linear_baseline(states, returns, num_states=5)
    with pytest.raises(ValueError, match="num_states is 0, expected at least 1"):
        ops.linear_baseline(states, returns, num_states=0)


def test_a_gradient_through_the_op_itself_is_refused():
    observations, returns = dense()
    with pytest.raises(RuntimeError, match="linear_baseline is not differentiable"):
        OP(observations, returns.requires_grad_(), 0, 1e-5).sum().backward()


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.zeros(6, 2, 3, 4), torch.zeros(6, 2), 0, 1e-5),
        (torch.zeros(6, 2, 4, 4), torch.zeros(6, 2, 3), 0, 1e-5),
        (torch.zeros(6, 2, 3, 4).double(), torch.zeros(6, 2, 3), 0, 1e-5),
        (torch.zeros(6, 2, 3, 4), torch.zeros(6, 2, 3), 0, 0.0),
        (torch.zeros(6, 2, 4).long(), torch.zeros(6, 2, 3), 5, 1e-5),
        (torch.zeros(6, 2, 3).long(), torch.zeros(6, 2, 3), 0, 1e-5),
    ],
)
def test_the_op_itself_reads_past_no_tensor(arguments):
    with pytest.raises(RuntimeError, match="mamrl: "):
        OP(*arguments)
