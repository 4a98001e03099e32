"""Peers inferred from their actions, and a meta-gradient that goes through the inferred ones."""

from __future__ import annotations

import pytest
import torch

from mamrl.games import ipd
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain, outer_advantages, surrogate, unroll
from mamrl.meta.opponent_model import infer_parameters, unroll_with_opponent_model
from mamrl.policies import LSTMPolicy, TabularPolicy

GAME = ipd()
POLICY = TabularPolicy(5, 2)
POLICIES = [POLICY, POLICY]


def joint(chains: int = 3):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(chains, 5, generator=generator) for _ in range(2)]


def sampler(trajectories: int, horizon: int, seed: int = 0):
    def sample(position, rows):
        return play(GAME, POLICIES, rows, random_keys(seed, "other", 0, position, len(rows[0])), trajectories, horizon)

    return sample


def error(trajectories: int) -> float:
    """Mean distance of inferred from true probabilities, states weighed alike."""
    rows = joint()
    played = sampler(trajectories, 50)(0, rows)
    inferred = infer_parameters(POLICY, played.states[1], played.actions[1], torch.zeros(3, 5))
    return float((torch.sigmoid(inferred) - torch.sigmoid(rows[1])).abs().mean())


def test_inferred_probabilities_approach_the_true_ones_as_data_grow():
    errors = [error(trajectories) for trajectories in (4, 64, 1024, 16384)]
    assert errors == sorted(errors, reverse=True)
    # the standard error of a frequency falls with the square root of the data: 4096 times as much, 64 times as near
    assert errors[-1] < errors[0] / 16
    assert errors[-1] < 3e-3


def test_inferred_frequencies_are_the_counts():
    states = torch.tensor([0, 1, 1, 1, 1]).view(5, 1, 1)
    actions = torch.tensor([1, 0, 0, 0, 1]).view(5, 1, 1)
    prior = torch.tensor([[0.0, 0.0, 2.0, 0.0, 0.0]])
    inferred = torch.sigmoid(infer_parameters(POLICY, states, actions, prior))[0]
    assert inferred[0] == pytest.approx((0 + 0.5) / (1 + 1))
    assert inferred[1] == pytest.approx((3 + 0.5) / (4 + 1))
    # a state that nobody visited stays as it was predicted
    assert inferred[2] == pytest.approx(torch.sigmoid(prior[0, 2]).item())


@pytest.mark.parametrize("estimator", ["expected", "published"])
def test_with_much_data_the_meta_gradient_is_the_centralised_one(estimator):
    """Loaded DiCE, two positions: model and truth differ by the sampling error of the frequencies only."""
    chain = Chain(estimator=estimator, num_trajectories=4096, horizon=30, chain_length=2, peer_lr=0.5)
    own_lr = torch.full((3, 2), 0.1)
    gradients = []
    for unrolled in (unroll, unroll_with_opponent_model):
        rows = joint()
        own = rows[0].requires_grad_()
        positions = unrolled(chain, GAME, POLICIES, [own, rows[1]], own_lr, sampler(4096, 30))
        value = surrogate(chain, positions, outer_advantages(chain, GAME, positions))
        gradients.append(torch.autograd.grad(value.sum(), own)[0])
    central, modelled = gradients
    assert torch.cosine_similarity(central.flatten(), modelled.flatten(), dim=0) > 0.99
    assert not torch.equal(central, modelled)


def test_true_peers_parameters_are_never_seen_by_the_gradient():
    """The same play with other recorded parameters gives the same surrogate: only actions carry information."""
    chain = Chain(num_trajectories=8, horizon=10, chain_length=2)
    recorded = [sampler(8, 10)(position, joint()) for position in range(3)]
    results = []
    for shift in (0.0, 5.0):
        rows = joint()
        peers = rows[1] + shift
        positions = unroll_with_opponent_model(
            chain, GAME, POLICIES, [rows[0], peers], torch.full((3, 2), 0.1), lambda position, _: recorded[position]
        )
        results.append(surrogate(chain, positions, outer_advantages(chain, GAME, positions)))
    assert torch.equal(*results)


def test_peers_that_are_not_tabular_are_refused():
    lstm = LSTMPolicy(5, 2, 8)
    with pytest.raises(TypeError, match="LSTMPolicy, expected a TabularPolicy"):
        unroll_with_opponent_model(Chain(), GAME, [POLICY, lstm], joint(), torch.zeros(3, 7), sampler(4, 5))
