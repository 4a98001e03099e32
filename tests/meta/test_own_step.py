"""The meta-agent's own step: as published, bounded, first-order; differentiated exactly as it is taken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mamrl.config import Experiment
from mamrl.games import ipd
from mamrl.games.exact import exact_values
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain, meta_objective, unroll
from mamrl.meta.exact_chain import exact_meta_objective, unroll_exact, unroll_values
from mamrl.meta.own_step import OwnStep
from mamrl.policies import LSTMPolicy, TabularPolicy

GAME = ipd().to(torch.float64)
TABLE = TabularPolicy(5, 2)
OWN = torch.tensor([[0.3, 0.6, -0.8, 0.4, -0.2]], dtype=torch.float64)
PEER = torch.tensor([[0.5, 0.9, 0.1, -0.4, 0.7]], dtype=torch.float64)
# the inner gradients here have norms of .3 to .8, so that this bound is felt
BOUND, LENGTH = 0.1, 2
CHAIN = Chain(
    num_trajectories=20000,
    horizon=60,
    chain_length=1,
    discount=0.85,
    gae_lambda=1.0,
    inner_gae_lambda=1.0,
    discounted_outer=True,
    peer_lr=2.0,
    inner_step="bounded",
    inner_bound=BOUND,
)


def exact_objective(own: Tensor, step: OwnStep, length: int = LENGTH, rate: float = 3.0) -> Tensor:
    rates = torch.full((len(own), length), rate, dtype=torch.float64)
    parts = GAME, [TABLE, TABLE], [own, PEER.expand(len(own), -1).clone()], rates
    positions = unroll_exact(*parts, 2.0, length, 0.85, CHAIN.terms, own_step=step)
    return exact_meta_objective(positions, CHAIN.terms)


def exact_gradient(step: OwnStep, length: int = LENGTH) -> Tensor:
    own = OWN.clone().requires_grad_()
    return torch.autograd.grad(exact_objective(own, step, length).sum(), own)[0]


def central_differences(function) -> Tensor:
    shifts = 1e-5 * torch.eye(5, dtype=torch.float64)
    return torch.stack([(function(OWN + shift) - function(OWN - shift)).sum() / 2e-5 for shift in shifts])[None]


@pytest.mark.parametrize("kind", ["gradient", "bounded"])
def test_the_exact_chain_differentiates_its_step_as_it_is_taken(kind):
    step = OwnStep(kind, BOUND)
    differences = central_differences(lambda own: exact_objective(own, step))
    assert torch.allclose(exact_gradient(step), differences, atol=1e-7)


def test_a_first_order_step_drops_its_own_derivative_and_nothing_else():
    """One step: the meta-gradient is that of the chain in which the step is a constant and the peer's is not."""
    rate, step = 3.0, OwnStep("bounded", BOUND, "first-order")

    def values(joint):
        return exact_values(GAME.payoffs, [TABLE.table(row) for row in joint], 0.85)

    def adapted(start: Tensor) -> list[Tensor]:
        return [row.detach() for row in unroll_values(values, [start, PEER], lambda *_: rate, 1, True)[1].parameters]

    own = OWN.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(values([own, PEER])[0].sum(), own)
    constant = OwnStep("bounded", BOUND).direction(gradient)

    def objective(start: Tensor) -> Tensor:
        peer = PEER.clone().requires_grad_()
        (moved,) = torch.autograd.grad(values([start.detach(), peer])[1].sum(), peer)
        return values([start + rate * constant, PEER + 2.0 * moved])[0]

    first_order = exact_gradient(step, length=1)
    assert torch.allclose(first_order, central_differences(objective), atol=1e-7)
    assert not torch.allclose(first_order, exact_gradient(OwnStep("bounded", BOUND), length=1), atol=1e-3)


def test_a_bound_out_of_reach_changes_nothing():
    assert torch.equal(exact_gradient(OwnStep("bounded", 1e6)), exact_gradient(OwnStep()))


@pytest.mark.parametrize("curvature", ["full", "first-order"])
def test_the_sampled_chain_with_a_bounded_step_approaches_the_exact_one(curvature):
    chain = Chain(**{**CHAIN.__dict__, "own_curvature": curvature})
    rates, estimates = torch.full((1, 1), 3.0, dtype=torch.float64), []
    for seed in range(4):

        def sampler(position, rows, seed=seed):
            keys = random_keys(seed, "other", 0, position, 1)
            return play(GAME, [TABLE, TABLE], rows, keys, chain.num_trajectories, chain.horizon)

        rows = [OWN.clone().requires_grad_(), PEER.clone()]
        played = [p.trajectories for p in unroll(chain, GAME, [TABLE, TABLE], rows, rates, sampler)]
        objective = meta_objective(chain, GAME, [TABLE, TABLE], rows, rates, played)
        estimates.append(torch.autograd.grad(objective.sum(), rows[0])[0])
    estimate, exact = torch.stack(estimates).mean(0), exact_gradient(chain.own_step, length=1)
    assert float(torch.cosine_similarity(estimate, exact)) > 0.99
    assert float(estimate.norm() / exact.norm()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("curvature", ["full", "first-order"])
@pytest.mark.parametrize("differentiable", [True, False])
def test_no_step_of_an_lstm_is_longer_than_its_bound_allows(curvature, differentiable):
    """In training and in the meta-test, which does not differentiate, alike; and the steps' values are the same."""
    sizes = {"num_trajectories": 8, "horizon": 12, "chain_length": 2, "inner_bound": 0.05}
    chain = Chain(inner_step="bounded", own_curvature=curvature, **sizes)
    policy = LSTMPolicy(5, 2, 4)
    own = torch.stack([policy.initial(torch.Generator().manual_seed(seed)) for seed in range(3)])
    peers = torch.randn(3, 5, generator=torch.Generator().manual_seed(7))

    def sampler(position, rows):
        return play(ipd(), [policy, TABLE], rows, random_keys(0, "other", 0, position, 3), 8, 12)

    def steps(chain: Chain, differentiable: bool) -> Tensor:
        positions = unroll(chain, ipd(), [policy, TABLE], [own, peers], torch.ones(3, 2), sampler, differentiable)
        return torch.stack([(positions[i + 1].parameters[0] - positions[i].parameters[0]).detach() for i in range(2)])

    taken = steps(chain, differentiable)
    assert float(taken.norm(dim=-1).max()) <= 0.05 * (1 + 1e-4)
    published = steps(Chain(**{**chain.__dict__, "inner_step": "gradient"}), differentiable)
    assert float(published[0].norm(dim=-1).min()) > 0.05  # so that the bound was felt
    assert torch.allclose(taken, steps(Chain(**{**chain.__dict__, "own_curvature": "full"}), True), atol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("inner_step", "proximal", "inner_step"),
        ("own_curvature", "second-order", "own_curvature"),
        ("inner_bound", 0.0, "inner_bound is 0.0, expected a number above 0"),
        ("inner_bound", -1.0, "inner_bound is -1.0, expected a number above 0"),
        ("inner_bound", float("nan"), "inner_bound is nan, expected a finite number"),
        ("inner_bound", float("inf"), "inner_bound is inf, expected a finite number"),
    ],
)
def test_a_step_that_is_none_is_refused_by_a_sentence(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        Experiment(**{field: value})
