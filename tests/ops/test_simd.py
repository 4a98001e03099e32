"""Every SIMD level that this machine has computes the same to rounding, with sigmoid and tanh to 2 and 2.7 ulp."""

import os
import subprocess
import sys

import pytest
import torch
from checks import DTYPES, check_thread_counts
from gru_cases import gru_case
from lstm_cases import derivatives, game_case, lstm_case, relative_errors, simd_level, simd_levels

from mamrl import ops
from mamrl.ops import reference

LEVELS = simd_levels()
NETWORKS = {"lstm": (lstm_case, ops.lstm, reference.lstm), "gru": (gru_case, ops.gru, reference.gru)}
every_network = pytest.mark.parametrize("network", NETWORKS)


@every_network
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("units", [1, 17, 64])
def test_every_level_agrees_with_the_twin_to_second_order(level, dtype, units, network):
    make, op, twin = NETWORKS[network]
    case = make(8, 2, 35, units, 2, dtype=dtype)
    with simd_level(level):
        errors = relative_errors(derivatives(case, op), derivatives(case, twin))
    assert max(errors) < (2e-14 if dtype == torch.float64 else 6e-6), errors


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_plays_the_twins_trajectories(level):
    case = game_case(actions=(3, 2), kinds=(2, 1), trajectories=37, units=17)
    with simd_level(level):
        actual = ops.matrix_game_rollout(*case)
    for a, b in zip(actual[:3], reference.matrix_game_rollout(*case)[:3], strict=True):
        assert torch.equal(a, b)


@every_network
@pytest.mark.parametrize("level", LEVELS)
def test_at_every_level_thread_count_changes_no_bit(level, network):
    make, op, _ = NETWORKS[network]
    case = make(3, 2, 70, 20, 2, dtype=torch.float32)
    with simd_level(level):
        check_thread_counts(lambda: derivatives(case, op))


def test_what_one_level_saved_serves_another():
    case = lstm_case(5, 1, 6, 20, 2, dtype=torch.float32)
    expected = derivatives(case, ops.lstm)
    with simd_level("baseline"):
        outputs, saved = torch.ops.mamrl.lstm(*case, 1.0)
    actual = derivatives(case, lambda *arguments: ops.lstm_recorded(*arguments, outputs, saved))
    assert max(relative_errors(actual, expected)) < 6e-6


def gate_functions(x):
    """sigmoid and tanh of x (K,), as an LSTM of one unit without recurrence computes its first step."""
    inputs = x.view(1, 1, -1, 1).expand(-1, -1, -1, 4).contiguous()
    zero = x.new_zeros(1, 4, 1)
    _, saved = torch.ops.mamrl.lstm(inputs, None, zero, x.new_zeros(1, 1, 1), x.new_zeros(1, 1), 1.0)
    return saved[0, 0, :, 0, 0], saved[0, 0, :, 2, 0]


def ulps(actual, exact):
    """Distance in units of the last place of the exact value's binade, no finer than the smallest normal number's."""
    exponent = torch.floor(torch.log2(exact.abs().clamp(min=2.0**-126)))
    return float(((actual.double() - exact).abs() / torch.exp2(exponent - 23)).max())


@pytest.mark.parametrize("level", LEVELS)
def test_float32_sigmoid_and_tanh_are_right_to_less_than_three_ulp(level):
    generator = torch.Generator().manual_seed(1)
    normal = torch.randn(400_000, generator=generator)
    x = torch.cat([normal, 5 * normal, torch.linspace(-12, 12, 400_001), normal * 2.0**-12, torch.zeros(1)])
    with simd_level(level):
        sigmoid, tanh = gate_functions(x)
    assert ulps(tanh, torch.tanh(x.double())) <= 2.7
    near = x >= -10
    assert ulps(sigmoid[near], torch.sigmoid(x[near].double())) <= 2
    assert ulps(sigmoid, torch.sigmoid(x.double())) <= 6


@pytest.mark.parametrize("level", LEVELS)
def test_float32_sigmoid_and_tanh_saturate(level):
    x = torch.tensor([-torch.inf, -3e38, -1e6, -200.0, -100.0, -88.0, 88.0, 100.0, 1e6, 3e38, torch.inf, torch.nan])
    with simd_level(level):
        sigmoid, tanh = gate_functions(x)
    torch.testing.assert_close(sigmoid.double(), torch.sigmoid(x.double()), rtol=0, atol=1e-37, equal_nan=True)
    torch.testing.assert_close(tanh.double(), torch.tanh(x.double()), rtol=0, atol=1e-7, equal_nan=True)
    assert tanh[:-1].abs().max() <= 1


def test_an_unknown_level_is_named_with_the_highest():
    with pytest.raises(RuntimeError, match=f"SIMD level 'sse9' is unknown .* highest is '{LEVELS[-1]}'"):
        torch.ops.mamrl._set_simd_level("sse9")


def level_of_a_new_process(environment):
    code = "import mamrl, torch; print(torch.ops.mamrl.simd_level())"
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_environment_chooses_the_level():
    assert level_of_a_new_process({"MAMRL_SIMD": "baseline"}).stdout.strip() == "baseline"
    assert "SIMD level 'sse9' is unknown" in level_of_a_new_process({"MAMRL_SIMD": "sse9"}).stderr
