"""Oracle 2: with many trajectories, what is sampled approaches the exact chain (float64, tabular)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mamrl.games import ipd
from mamrl.games.exact import exact_values
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain, Position, meta_objective, unroll
from mamrl.meta.exact_chain import exact_meta_objective, unroll_exact
from mamrl.meta.inner_step import policy_gradients
from mamrl.policies import TabularPolicy

GAME = ipd().to(torch.float64)
POLICY = TabularPolicy(5, 2)
# discount^horizon = 1e-4: the closed form's infinite horizon is the sampled one's
CHAIN = Chain(
    num_trajectories=20000,
    horizon=60,
    chain_length=1,
    discount=0.85,
    gae_lambda=1.0,
    inner_gae_lambda=1.0,
    discounted_outer=True,
    peer_lr=2.0,
)
OWN = torch.tensor([[0.3, 0.6, -0.8, 0.4, -0.2]], dtype=torch.float64)
PEER = torch.tensor([[0.5, 0.9, 0.1, -0.4, 0.7]], dtype=torch.float64)
OWN_LR = 1.0


def sampler(chain: Chain, seed: int):
    def sample(position: int, rows):
        keys = random_keys(seed, "other", 0, position, 1)
        return play(GAME, [POLICY, POLICY], rows, keys, chain.num_trajectories, chain.horizon)

    return sample


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def exact_gradients(own: Tensor, peer: Tensor) -> tuple[Tensor, Tensor]:
    values = exact_values(GAME.payoffs, [POLICY.table(own), POLICY.table(peer)], CHAIN.discount)
    (own_gradient,) = torch.autograd.grad(values[0].sum(), own, create_graph=True)
    (peer_gradient,) = torch.autograd.grad(values[1].sum(), peer, create_graph=True)
    return own_gradient, peer_gradient


@pytest.fixture(scope="module", params=["dice", "loaded-dice"])
def sampled(request) -> tuple[Position, list[Tensor], list[Tensor]]:
    """tau_0 under (OWN, PEER), the parameters, and both agents' sampled gradients."""
    chain = Chain(**{**CHAIN.__dict__, "inner_objective": request.param, "num_trajectories": 60000})
    rows = [OWN.clone().requires_grad_(), PEER.clone().requires_grad_()]
    first = unroll(chain, GAME, [POLICY, POLICY], rows, torch.zeros(1, 1), sampler(chain, 0))[0]
    gradients = policy_gradients(chain.learning_rule, rows, first.log_probs, first.trajectories, 5, differentiable=True)
    return first, rows, gradients


def test_inner_gradients_approach_the_exact_policy_gradients(sampled):
    _, _, (own_gradient, peer_gradient) = sampled
    exact_own, exact_peer = exact_gradients(OWN.clone().requires_grad_(), PEER.clone().requires_grad_())
    assert cosine(own_gradient.detach(), exact_own.detach()) > 0.99
    assert cosine(peer_gradient.detach(), exact_peer.detach()) > 0.99
    assert float(own_gradient.detach().norm() / exact_own.detach().norm()) == pytest.approx(1, abs=0.1)


def test_dice_cross_derivatives_approach_the_exact_ones(sampled):
    """d/d phi^i of the peer's gradient, the whole 5 x 5 block, and the meta-agent's own Hessian."""
    _, rows, (own_gradient, peer_gradient) = sampled
    own, peer = OWN.clone().requires_grad_(), PEER.clone().requires_grad_()
    exact_own, exact_peer = exact_gradients(own, peer)
    for estimate, exact, name in ((peer_gradient, exact_peer, "cross"), (own_gradient, exact_own, "own")):
        block = torch.stack([torch.autograd.grad(estimate[0, s], rows[0], retain_graph=True)[0][0] for s in range(5)])
        truth = torch.stack([torch.autograd.grad(exact[0, s], own, retain_graph=True)[0][0] for s in range(5)])
        assert cosine(block, truth) > 0.99, name


@pytest.mark.parametrize("algorithm", ["meta-mapg", "meta-pg"])
def test_expected_estimator_approaches_the_exact_meta_gradient(algorithm):
    chain = Chain(**{**CHAIN.__dict__, "algorithm": algorithm})
    own, rates = OWN.clone().requires_grad_(), torch.full((1, 1), OWN_LR, dtype=torch.float64)
    positions = unroll_exact(
        GAME, [POLICY, POLICY], [own, PEER.clone()], rates, chain.peer_lr, 1, chain.discount, chain.terms
    )
    (exact,) = torch.autograd.grad(exact_meta_objective(positions, chain.terms).sum(), own)

    estimates = []
    for seed in range(4):
        rows = [OWN.clone().requires_grad_(), PEER.clone()]
        chain_positions = unroll(chain, GAME, [POLICY, POLICY], rows, rates, sampler(chain, seed))
        recorded = [position.trajectories for position in chain_positions]
        objective = meta_objective(chain, GAME, [POLICY, POLICY], rows, rates, recorded)
        estimates.append(torch.autograd.grad(objective.sum(), rows[0])[0])
    mean = torch.stack(estimates).mean(0)
    assert cosine(mean, exact) > 0.99
    assert float(mean.norm() / exact.norm()) == pytest.approx(1, abs=0.1)


def test_meta_pg_ignores_what_meta_mapg_sees():
    """Their exact gradients differ, so that the two cases above cannot both pass by accident."""
    gradients = []
    for algorithm in ("meta-mapg", "meta-pg"):
        chain = Chain(**{**CHAIN.__dict__, "algorithm": algorithm})
        own, rates = OWN.clone().requires_grad_(), torch.full((1, 1), OWN_LR, dtype=torch.float64)
        positions = unroll_exact(
            GAME, [POLICY, POLICY], [own, PEER.clone()], rates, chain.peer_lr, 1, chain.discount, chain.terms
        )
        gradients.append(torch.autograd.grad(exact_meta_objective(positions, chain.terms).sum(), own)[0])
    assert cosine(*gradients) < 0.9
