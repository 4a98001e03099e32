"""What is given where tensors belong: NumPy arrays simply work, everything else is refused by a sentence."""

import numpy as np
import pytest
import torch
from checks import on_cpu_kernels

from mamrl import ops
from mamrl.evaluation.learning_rules import plays_tit_for_tat
from mamrl.games.differentiable import LogisticGame
from mamrl.games.exact import exact_values
from mamrl.ops.iterated_2x2 import iterated_2x2
from mamrl.ops.quantile_huber import quantile_huber
from mamrl.policies import LSTMPolicy, TabularPolicy

ROWS = np.linspace(-1, 1, 10).reshape(2, 5)
PAYOFFS = np.array([[-1.0, -3, 0, -2], [-1, 0, -3, -2]])
TABLES = [np.linspace(0, k, 10).reshape(1, 5, 2) for k in (1, 2)]
STEPS = np.linspace(0, 1, 24).reshape(4, 2, 3)
STATES = np.arange(24).reshape(4, 2, 3) % 5
CASES = {
    "quantile_huber": (quantile_huber, ROWS, -ROWS),
    "iterated_2x2": (iterated_2x2, ROWS, -ROWS, PAYOFFS, 0.9),
    "linear_baseline": (lambda states, returns: ops.linear_baseline(states, returns, num_states=5), STATES, STEPS),
    "exact_values": (lambda *x: exact_values(x[0], x[1:], 0.9), PAYOFFS.reshape(2, 2, 2), *TABLES),
    "plays_tit_for_tat": (plays_tit_for_tat, ROWS),
    "parameters_of": (TabularPolicy(5, 2).parameters_of, np.full((5, 2), 0.5)),
    "gae": (ops.gae, STEPS[:3], STEPS, 0.9, 0.8),
    "discounted_returns": (ops.discounted_returns, STEPS, 0.9),
    "table_lookup": (ops.table_lookup, ROWS, STATES),
    "dice_objective": (ops.dice_objective, STEPS, STEPS, STEPS, 0.9),
}
every_case = pytest.mark.parametrize(("function", "arguments"), [(f, x) for f, *x in CASES.values()], ids=CASES)


def each_array(arguments, change):
    return [change(x) if isinstance(x, np.ndarray) else x for x in arguments]


@every_case
def test_numpy_arrays_give_what_tensors_give(function, arguments):
    expected = function(*each_array(arguments, torch.from_numpy))
    torch.testing.assert_close(function(*arguments), expected, rtol=0, atol=0)
    read_only_and_reversed = each_array(arguments, lambda x: np.flip(np.flip(x).copy()))
    torch.testing.assert_close(function(*read_only_and_reversed), expected, rtol=0, atol=0)


@on_cpu_kernels
@every_case
@pytest.mark.parametrize(
    "wrong", [None, 3, "text", [[0.5]], np.array(["text"]), object()], ids=lambda x: type(x).__name__
)
def test_anything_else_is_refused_by_a_sentence(function, arguments, wrong):
    for place, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            with pytest.raises((TypeError, ValueError), match=r"\w+ is |[Ee]xpected|must"):
                function(*each_array([*arguments[:place], wrong, *arguments[place + 1 :]], lambda x: x))


@pytest.mark.parametrize("wrong", [None, [0.5], ROWS[:, :1]], ids=["none", "list", "array"])
def test_games_and_policies_take_tensors_only_and_say_so(wrong):
    with pytest.raises(TypeError, match=r"params\[0\] is .*, expected a torch\.Tensor"):
        LogisticGame().check_params([wrong, wrong])
    states, actions = torch.from_numpy(STATES), torch.from_numpy(STATES % 2)
    for policy in (TabularPolicy(5, 2), LSTMPolicy(5, 2, hidden_size=2)):
        with pytest.raises(TypeError, match=r"parameters are .*, expected a torch\.Tensor"):
            policy.log_probs(wrong, states, actions)
        with pytest.raises(TypeError, match=r"actions is .*, expected"):
            policy.log_probs(torch.zeros(2, policy.num_parameters), states, wrong)
        with pytest.raises(TypeError, match=r"actions is torch\.float32"):
            policy.log_probs(torch.zeros(2, policy.num_parameters), states, actions.float())


def test_probabilities_without_a_logit_are_refused():
    policy = TabularPolicy(5, 2)
    for probabilities in (torch.eye(2)[[0, 1, 0, 1, 0]], torch.full((5, 3), 1 / 3), torch.full((5, 2), float("nan"))):
        with pytest.raises(ValueError, match="probabilities h"):
            policy.parameters_of(probabilities)
