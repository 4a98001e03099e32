"""Oracle 1: each estimator of the meta-gradient against the exact one, by enumerating every outcome."""

from __future__ import annotations

import pytest
import torch
from enumeration import enumerate_estimator

from mamrl.meta import Chain

OWN = torch.tensor([0.3, -0.4, 0.8, -1.1, 0.2], dtype=torch.float64)
PEER = torch.tensor([-0.5, 0.9, 0.1, 0.4, -0.7], dtype=torch.float64)


def chain(**changes) -> Chain:
    fields = {
        "estimator": "sampled",
        "horizon": 2,
        "chain_length": 1,
        "num_trajectories": 1,
        "gae_lambda": 1.0,
        "discounted_outer": True,
        "cross_chain_baseline": False,
    }
    return Chain(**{**fields, **changes})


# not loaded DiCE with K = 1: the baseline then fits its two samples exactly, and nobody takes a step
@pytest.mark.parametrize(("inner_objective", "num_trajectories"), [("dice", 1), ("dice", 2), ("loaded-dice", 2)])
def test_expectation_of_the_sampled_estimator_equals_the_exact_meta_gradient(inner_objective, num_trajectories):
    result = enumerate_estimator(
        chain(inner_objective=inner_objective, num_trajectories=num_trajectories), OWN, PEER, own_lr=0.7
    )
    assert result.total_probability == pytest.approx(1, abs=1e-12)
    assert result.exact.abs().max() > 1e-2
    assert result.error < 1e-9


@pytest.mark.parametrize("estimator", ["published", "expected"])
def test_dice_estimators_estimate_something_else_than_the_sampled_chain(estimator):
    result = enumerate_estimator(chain(estimator=estimator, inner_objective="dice"), OWN, PEER, own_lr=0.7)
    assert result.error > 1e-3


def test_oracle_notices_a_missing_current_policy_term():
    result = enumerate_estimator(
        chain(estimator="expected", algorithm="meta-pg", inner_objective="dice"), OWN, PEER, own_lr=0.7
    )
    assert result.error > 1e-3
