"""Policies refuse actions and probabilities that they have no number for, and say which."""

import copy
import pickle

import pytest
import torch

from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.policies.module import ModulePolicy

STATES = torch.zeros(2, 1, 1, dtype=torch.int64)
POLICIES = {
    "table": TabularPolicy(5, 2),
    "three actions": TabularPolicy(5, 3),
    "lstm": LSTMPolicy(5, 2, hidden_size=2),
    "module": ModulePolicy(torch.nn.Embedding(5, 2), 5, 2),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("action", [-1, 3])
def test_an_action_out_of_range_is_named(policy, action):
    parameters = policy.initial(torch.Generator()).unsqueeze(0)
    actions = torch.tensor([0, action]).view(2, 1, 1)
    with pytest.raises(ValueError, match=f"actions holds {action}, expected at least 0 and below {policy.num_actions}"):
        policy.log_probs(parameters, STATES, actions)


@pytest.mark.parametrize("probability", [0.0, 1.0, float("nan")])
def test_probabilities_without_a_finite_logit_are_refused(probability):
    with pytest.raises(ValueError, match="outside"):
        TabularPolicy(1, 2).parameters_of(torch.tensor([[probability, 1 - probability]]))


def test_three_probabilities_for_two_actions_are_refused():
    with pytest.raises(ValueError, match="expected"):
        TabularPolicy(1, 2).parameters_of(torch.tensor([[0.2, 0.3, 0.5]]))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_a_copied_and_a_pickled_policy_give_the_same(policy):
    parameters = policy.initial(torch.Generator().manual_seed(0)).unsqueeze(0)
    expected = policy.log_probs(parameters, STATES, STATES)
    for other in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert torch.equal(other.log_probs(parameters, STATES, STATES), expected)
