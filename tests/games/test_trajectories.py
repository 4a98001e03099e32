"""Rollouts: disjoint random streams, and every kind of policy plays the same game."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from mamrl.games import ipd, rock_paper_scissors
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain, meta_objective, unroll
from mamrl.policies import LSTMNetwork, LSTMPolicy, TabularPolicy
from mamrl.policies.module import ModulePolicy


def test_no_two_places_of_a_run_share_a_stream():
    streams = torch.cat(
        [
            random_keys(seed, purpose, iteration, position, 5)
            for seed, purpose, iteration, position in product(
                (0, 1), ("train", "validation", "test"), range(4), range(3)
            )
        ]
    )
    assert len(torch.unique(streams, dim=0)) == len(streams) == 2 * 3 * 4 * 3 * 5


def test_chains_of_a_batch_have_the_streams_they_would_have_apart():
    together = random_keys(7, "train", 3, 1, 6)
    apart = torch.cat([random_keys(7, "train", 3, 1, 2, first_chain=first) for first in (0, 2, 4)])
    assert torch.equal(together, apart)


@pytest.mark.parametrize("place", [("train", -1, 0), ("train", 2**32, 0), ("train", 0, 256), ("lunch", 0, 0)])
def test_streams_out_of_range_are_refused(place):
    purpose, iteration, position = place
    with pytest.raises(ValueError, match="expected"):
        random_keys(0, purpose, iteration, position, 1)


class Table(nn.Module):
    """What TabularPolicy(5, 2) is, as a module."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.linspace(-1, 1, 5))

    def forward(self, states):
        own = self.logits[states]
        return torch.stack([own, torch.zeros_like(own)], dim=-1)


def test_module_policy_plays_what_the_kernel_plays():
    game, table = ipd(), TabularPolicy(5, 2)
    module = ModulePolicy(Table(), 5, 2)
    rows = [torch.randn(3, 5), torch.randn(3, 5)]
    keys = random_keys(1, "other", 0, 0, 3)
    kernel = play(game, [table, table], rows, keys, 4, 12)
    slow = play(game, [module, table], rows, keys, 4, 12)
    for name in ("states", "actions", "rewards"):
        assert torch.equal(getattr(kernel, name), getattr(slow, name)), name


def test_module_policy_has_the_meta_gradient_of_the_table_it_is():
    game, table, module = ipd(), TabularPolicy(5, 2), ModulePolicy(Table(), 5, 2)
    chain = Chain(num_trajectories=4, horizon=12, chain_length=2)
    peers, rates = torch.randn(3, 5), torch.full((3, 2), 0.5)
    start = torch.randn(3, 5)

    def sampler(position, rows):
        return play(game, [table, table], rows, random_keys(1, "other", 0, position, 3), 4, 12)

    recorded = [p.trajectories for p in unroll(chain, game, [table, table], [start, peers], rates, sampler)]
    gradients = []
    for policy in (table, module):
        own = start.clone().requires_grad_()
        objective = meta_objective(chain, game, [policy, table], [own, peers.clone()], rates, recorded)
        gradients.append(torch.autograd.grad(objective.sum(), own)[0])
    assert gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_module_without_parameters_is_refused():
    with pytest.raises(TypeError, match="no parameters"):
        ModulePolicy(nn.ReLU(), 5, 2)


def test_recorded_forward_gives_the_values_and_gradients_of_a_fresh_one():
    game = rock_paper_scissors()
    policy, peer = LSTMPolicy(10, 3, 12), TabularPolicy(10, 3)
    network = LSTMNetwork(10, 1, 12)
    generator = torch.Generator().manual_seed(0)
    own = torch.stack([policy.initial(generator) for _ in range(2)]).requires_grad_()
    critic = torch.stack([network.initial(generator) for _ in range(2)])
    rows = [own, torch.randn(2, peer.num_parameters)]
    trajectories = play(game, [policy, peer], rows, random_keys(0, "other", 0, 0, 2), 3, 7, network, critic)
    arguments = (own, trajectories.states[0], trajectories.actions[0])
    recorded, fresh = policy.log_probs(*arguments, trajectories.recorded_of(0)), policy.log_probs(*arguments)
    torch.testing.assert_close(recorded, fresh)
    weights = torch.randn_like(fresh)
    gradients = [torch.autograd.grad((weights * x).sum(), own)[0] for x in (recorded, fresh)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
    assert trajectories.values is not None
    torch.testing.assert_close(trajectories.values, network.outputs(critic, trajectories.states[0]).squeeze(-1))


def test_horizons_that_do_not_match_are_refused():
    game, table = ipd(), TabularPolicy(5, 2)
    rows = [torch.zeros(1, 5), torch.zeros(1, 5)]
    short = play(game, [table, table], rows, random_keys(0, "other", 0, 0, 1), 4, 3)
    chain = Chain(num_trajectories=4, horizon=5, chain_length=1)
    with pytest.raises(ValueError, match="T = 3 and K = 4, expected horizon 5 and 4"):
        meta_objective(chain, game, [table, table], rows, torch.zeros(1, 1), [short, short])
    with pytest.raises(ValueError, match="got 1 trajectories, expected chain_length"):
        meta_objective(chain, game, [table, table], rows, torch.zeros(1, 1), [short])
