"""Direct functions (csrc/direct.h): what the dispatcher gives, and nothing where another takes part in the call."""

import sys

import pytest
import torch
from checks import on_cpu_kernels
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mamrl import ops

pytestmark = on_cpu_kernels
REWARDS = torch.linspace(-1, 1, 12).view(6, 2)
VALUES = torch.linspace(1, 2, 14).view(7, 2)
SETTINGS = (None, None, None, 0.9, 0.8)
ENDS = torch.arange(12).view(6, 2) % 5 == 0
GRADS = torch.ones(3)
LOG_PROBS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
STATES = torch.arange(60).view(5, 3, 4) % 7
LOGITS = torch.linspace(-2, 2, 20).view(2, 2, 5)
PAYOFFS = torch.tensor([[-2.0, 0, -3, -1], [-2, -3, 0, -1]])
CASES = {
    "gae": (REWARDS, VALUES, None, ENDS, None, 0.9, 0.8),
    "gae_backward": (REWARDS, None, ENDS, 0.9, 0.8, True),
    "discounted_returns": (REWARDS, None, None, ENDS, 1),
    "discounted_returns_backward": (REWARDS, ENDS, None, 0.9),
    "dice_objective": (LOG_PROBS, LOG_PROBS + 1, LOG_PROBS + 2, 0.9),
    "loaded_dice_objective": (LOG_PROBS, LOG_PROBS + 1, 0.9),
    "dice_gradient": (LOG_PROBS, GRADS, LOG_PROBS + 1, None, 0.9),
    "dice_hessian_product": (LOG_PROBS, LOG_PROBS + 1, GRADS, LOG_PROBS + 2, LOG_PROBS, 0.9),
    "dice_derivatives": (LOG_PROBS, LOG_PROBS + 1, LOG_PROBS + 2, LOG_PROBS + 3, 0.9),
    "linear_baseline": (STATES, LOG_PROBS, 7, 1e-5),
    "table_lookup": (LOG_PROBS[0].repeat(1, 2), STATES),
    "table_accumulate": (LOG_PROBS, STATES, 7),
    "iterated_2x2": (LOGITS[0], LOGITS[1], PAYOFFS, 0.96),
    "quantile_huber": (REWARDS, VALUES[1:]),
    "tabular_actions": (torch.full((1, 7, 2), 0.5), torch.tensor([0, 6]), None, None, None, 0),
}  # fmt: skip


def direct(name):
    return getattr(sys.modules["mamrl._C"], name)


def gae(rewards=REWARDS, *rest):
    return direct("gae")(rewards, *(rest or (VALUES, *SETTINGS)))


@pytest.mark.parametrize("name", CASES)
def test_a_direct_function_gives_the_bits_that_the_dispatcher_gives(name):
    actual, expected = direct(name)(*CASES[name]), getattr(torch.ops.mamrl, name)(*CASES[name])
    torch.testing.assert_close(actual, tuple(expected) if isinstance(expected, list) else expected, rtol=0, atol=0)


def test_every_direct_function_is_tried():
    names = {name for name in dir(sys.modules["mamrl._C"]) if not name.startswith("_")}
    # these write into their arguments; tests/ops/test_matrix_game_steps.py and test_coin_game_steps.py call them
    assert names == CASES.keys() | {"matrix_game_steps", "matrix_game_turn", "coin_game_steps"}


def test_nothing_is_kept_of_a_call():
    before = REWARDS._use_count(), VALUES._use_count(), LOG_PROBS._use_count()
    result = gae()
    pair = direct("dice_objective")(*CASES["dice_objective"])
    assert [x._use_count() for x in (result, *pair)] == [1, 1, 1]
    # an argument that is declined after others were taken
    assert gae(REWARDS, VALUES, *SETTINGS[:-1], "0.8") is NotImplemented
    assert (REWARDS._use_count(), VALUES._use_count(), LOG_PROBS._use_count()) == before


class Subclass(torch.Tensor):
    pass


# the imaginary part of a conjugate is a view with the negative bit
NEGATED = torch.tensor([[1 + 2j]]).conj().imag
DECLINED = {
    "a number": 3.0,
    "a subclass": REWARDS.as_subclass(Subclass),
    "a parameter": torch.nn.Parameter(REWARDS),
    "a gradient": REWARDS.clone().requires_grad_(),
    "negated": torch._neg_view(REWARDS),
    "meta": REWARDS.to("meta"),
    "sparse": REWARDS.to_sparse(),
    "zero": torch._efficientzerotensor((6, 2)),
    "another dtype": REWARDS.half(),
    "another shape": REWARDS[0],
}


@pytest.mark.parametrize("name", DECLINED)
def test_what_is_not_a_plain_tensor_is_declined(name):
    assert gae(DECLINED[name]) is NotImplemented


def test_other_arguments_are_declined_unless_they_are_what_the_schema_says():
    for settings in ((None, None, None, "0.9", 0.8), (None, None, 1, 0.9, 0.8), (None, None, None, 0.9)):
        assert gae(REWARDS, VALUES, *settings) is NotImplemented
    # and no error is left behind
    assert torch.equal(gae(), ops.gae(REWARDS, VALUES, 0.9, 0.8))


def test_a_negated_view_is_what_it_stands_for():
    assert NEGATED.is_neg()
    actual = ops.discounted_returns(torch.cat([NEGATED, NEGATED]), 0.5)
    assert torch.equal(ops.discounted_returns(NEGATED, 0.5), torch.tensor([[-2.0]]))
    assert torch.equal(actual, torch.tensor([[-3.0], [-2.0]]))


@pytest.mark.parametrize(
    ("mode", "hook"), [(TorchDispatchMode, "__torch_dispatch__"), (TorchFunctionMode, "__torch_function__")]
)
def test_modes_see_the_call(mode, hook):
    seen = []

    def record(self, function, types, args=(), kwargs=None):
        seen.append(str(function))
        return function(*args, **(kwargs or {}))

    with type("Recording", (mode,), {hook: record})():
        assert gae() is NotImplemented
        ops.gae(REWARDS, VALUES, 0.9, 0.8)
    assert any("gae" in name for name in seen)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_trace_holds_the_call():
    traced = torch.jit.trace(lambda rewards: ops.gae(rewards, VALUES, 0.9, 0.8), REWARDS, check_trace=False)
    assert torch.equal(traced(2 * REWARDS), ops.gae(2 * REWARDS, VALUES, 0.9, 0.8))


def test_a_profile_names_the_call():
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        ops.gae(REWARDS, VALUES, 0.9, 0.8)
    assert "mamrl::gae" in {event.key for event in profile.key_averages()}


def test_without_gradients_a_tensor_that_requires_them_is_plain():
    with torch.no_grad():
        assert torch.equal(gae(DECLINED["a gradient"]), gae())


def test_forward_mode_is_left_to_the_function_that_knows_the_tangent():
    # linear in the rewards alone, so that the ones they move by give the advantages of ones
    moved = ops.gae(torch.ones_like(REWARDS), torch.zeros_like(VALUES), 0.9, 0.8)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(REWARDS, torch.ones_like(REWARDS))
        assert gae(dual) is NotImplemented
        torch.testing.assert_close(forward_ad.unpack_dual(ops.gae(dual, VALUES, 0.9, 0.8)).tangent, moved)
