"""Nothing assumes two players: three in a public-goods game against the exact chain, up to four in RPS."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import mamrl
from mamrl.games import MatrixGame, rock_paper_scissors
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain, meta_objective, outer_advantages, surrogate, unroll
from mamrl.meta.exact_chain import exact_meta_objective, unroll_exact
from mamrl.policies import TabularPolicy


def public_goods() -> MatrixGame:
    """Three players; a contribution costs 1 and gives every player .6: defection dominates, cooperation is better."""
    payoffs = torch.zeros(3, 2, 2, 2, dtype=torch.float64)
    for actions in product(range(2), repeat=3):
        given = sum(action == 0 for action in actions)
        for player in range(3):
            payoffs[(player, *actions)] = 0.6 * given - (actions[player] == 0)
    return MatrixGame(payoffs, "public goods")


GAME = public_goods()
POLICIES = [TabularPolicy(GAME.num_states, 2)] * 3
LR = torch.ones(1, 1, dtype=torch.float64)


def rows() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(1, GAME.num_states, generator=generator, dtype=torch.float64) for _ in range(3)]


def exact_gradient(chain: Chain) -> torch.Tensor:
    own, *peers = rows()
    own.requires_grad_()
    positions = unroll_exact(GAME, POLICIES, [own, *peers], LR, chain.peer_lr, 1, chain.discount, chain.terms)
    return torch.autograd.grad(exact_meta_objective(positions, chain.terms).sum(), own)[0]


def test_meta_gradient_of_three_players_approaches_the_exact_one():
    chain = Chain(
        num_trajectories=20000,
        horizon=30,
        chain_length=1,
        discount=0.75,
        gae_lambda=1.0,
        inner_gae_lambda=1.0,
        discounted_outer=True,
        peer_lr=6.0,
    )

    def sampler(position, joint):
        return play(GAME, POLICIES, joint, random_keys(7, "other", 0, position, 1), 20000, 30)

    own, *peers = rows()
    own.requires_grad_()
    positions = unroll(chain, GAME, POLICIES, [own, *peers], LR, sampler)
    value = surrogate(chain, positions, outer_advantages(chain, GAME, positions))
    estimate = torch.autograd.grad(value.sum(), own)[0]
    exact = exact_gradient(chain)
    assert torch.cosine_similarity(estimate, exact).item() > 0.98
    assert float(estimate.norm() / exact.norm()) == pytest.approx(1, abs=0.1)
    # Meta-PG's, which sees no peer learn, is another
    blind = Chain(**{**chain.__dict__, "algorithm": "meta-pg"})
    assert torch.cosine_similarity(exact_gradient(blind), exact).item() < 0.9


def test_peer_learning_term_sums_over_all_peers():
    """Each peer's log-probabilities enter once, with the same weights: the surrogate is linear in their sum."""
    chain = Chain(num_trajectories=8, horizon=6, chain_length=2, peer_lr=0.5)
    trajectories = [
        play(GAME, POLICIES, rows(), random_keys(0, "other", 0, position, 1), 8, 6) for position in range(3)
    ]
    own_lr = LR.expand(1, 2)
    full = meta_objective(chain, GAME, POLICIES, rows(), own_lr, trajectories)
    without = Chain(**{**chain.__dict__, "algorithm": "meta-mapg-without-peer"})
    own_only = meta_objective(without, GAME, POLICIES, rows(), own_lr, trajectories)
    positions = unroll(chain, GAME, POLICIES, rows(), own_lr, lambda position, _: trajectories[position])
    weights = outer_advantages(chain, GAME, positions)
    by_peer = [sum((weights[m] * positions[m].log_probs[peer]).sum(0).mean(-1) for m in (1, 2)) for peer in (1, 2)]
    torch.testing.assert_close(full - own_only, by_peer[0] + by_peer[1])
    assert by_peer[0].abs() > 1e-3
    assert by_peer[1].abs() > 1e-3


@pytest.mark.parametrize("num_players", [2, 3, 4])
@pytest.mark.parametrize("agent", ["tabular", "lstm", "tabular-exact"])
def test_rock_paper_scissors_trains_with_any_number_of_players(num_players, agent):
    experiment = mamrl.preset("rps-tabular").replace(
        num_players=num_players,
        agent=agent,
        hidden_size=8,
        chains=2,
        iterations=1,
        num_trajectories=4,
        horizon=5,
        chain_length=1,
    )
    run = mamrl.train(experiment, progress=False)
    assert run.parameters.isfinite().all()
    assert run.setting.game.num_states == 1 + 3**num_players
    assert run.test(repeats=1).rewards.shape == (1, 2, 60)


def test_rewards_of_n_players_sum_over_opponents():
    payoffs = rock_paper_scissors(4).payoffs
    # rock against paper, scissors and rock: loses one, wins one, ties one
    assert payoffs[0, 0, 1, 2, 0] == 0
    # paper against three rocks
    assert payoffs[0, 1, 0, 0, 0] == 3
    assert payoffs[:, 1, 0, 0, 0].tolist() == [3, -1, -1, -1]
