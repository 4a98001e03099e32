"""The chain's surrogates against their definitions, and who depends on whom."""

from __future__ import annotations

import pytest
import torch

from mamrl.games import MatrixGame, ipd, rock_paper_scissors
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import ALGORITHMS, ESTIMATORS, Chain, Position, meta_objective, outer_advantages, surrogate, unroll
from mamrl.policies import TabularPolicy

SIZES = {"num_trajectories": 3, "horizon": 6, "chain_length": 3}


def positions_of(chain: Chain, game: MatrixGame | None = None, seed: int = 0) -> list[Position]:
    game = game or ipd()
    policies = [TabularPolicy(game.num_states, count) for count in game.action_counts]
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(2, policy.num_parameters, generator=generator).requires_grad_() for policy in policies]

    def sampler(position, current):
        keys = random_keys(seed, "other", 0, position, 2)
        return play(game, policies, current, keys, chain.num_trajectories, chain.horizon)

    rates = torch.full((2, chain.chain_length), 0.5)
    return unroll(chain, game, policies, rows, rates, sampler)


@pytest.mark.parametrize("algorithm", ["meta-mapg", "meta-pg", "meta-mapg-without-own", "meta-mapg-without-peer"])
def test_published_surrogate_equals_the_double_sum(algorithm):
    chain = Chain(algorithm=algorithm, estimator="published", **SIZES)
    terms = ALGORITHMS[algorithm]
    positions = positions_of(chain)
    weights = outer_advantages(chain, ipd(), positions)
    total = torch.zeros(2)
    for m in range(1, chain.chain_length + 1):
        logs = positions[0].log_probs[0]
        for position in positions[1 : m + 1]:
            logs = logs + terms.own_learning * position.log_probs[0] + terms.peer_learning * position.log_probs[1]
        total = total + (weights[m] * logs).sum(0).mean(-1)
    torch.testing.assert_close(surrogate(chain, positions, weights), total / (chain.chain_length + 1))


def gradient_of_peer(chain: Chain) -> torch.Tensor | None:
    """d (a peer's adapted parameters) / d phi_0^i."""
    positions = positions_of(chain)
    own, adapted = positions[0].parameters[0], positions[1].parameters[1]
    return torch.autograd.grad(adapted.sum(), own, allow_unused=True)[0]


def test_peers_steps_depend_on_the_meta_agent_under_dice_only():
    through_dice = gradient_of_peer(Chain(**SIZES))
    assert through_dice is not None
    assert through_dice.abs().max() > 1e-3
    for chain in (Chain(algorithm="meta-pg", **SIZES), Chain(estimator="sampled", **SIZES)):
        nothing = gradient_of_peer(chain)
        assert nothing is None or float(nothing.abs().max()) == 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_surrogate_of_any_number_of_players_sums_over_all_peers(estimator):
    game = rock_paper_scissors(3)
    chain = Chain(estimator=estimator, **SIZES)
    positions = positions_of(chain, game)
    weights = outer_advantages(chain, game, positions)
    everyone = surrogate(chain, positions, weights)
    alone = [Position(p.parameters, p.trajectories, p.log_probs[:1]) for p in positions]
    first, second = (
        [Position(p.parameters, p.trajectories, [torch.zeros_like(p.log_probs[0]), p.log_probs[k]]) for p in positions]
        for k in (1, 2)
    )
    parts = sum(surrogate(chain, part, weights) for part in (alone, first, second))
    if estimator != "sampled":  # there the peers' sum is zero
        torch.testing.assert_close(everyone, parts)
        assert (everyone - surrogate(chain, alone, weights)).abs().max() > 1e-4
    else:
        torch.testing.assert_close(everyone, surrogate(chain, alone, weights))


def test_reinforce_looks_at_tau_0_alone():
    chain = Chain(algorithm="reinforce", **SIZES)
    positions = positions_of(chain)
    weights = outer_advantages(chain, ipd(), positions)
    expected = (weights[0] * positions[0].log_probs[0]).sum(0).mean(-1)
    torch.testing.assert_close(surrogate(chain, positions, weights), expected)


def test_meta_objective_is_a_function_of_what_it_is_given():
    chain, game = Chain(**SIZES), ipd()
    policies = [TabularPolicy(5, 2)] * 2
    recorded = [position.trajectories for position in positions_of(chain)]
    rows = [torch.randn(2, 5), torch.randn(2, 5)]
    rates = torch.full((2, 3), 0.5)
    first, again = (meta_objective(chain, game, policies, rows, rates, recorded) for _ in range(2))
    assert torch.equal(first, again)
    moved = meta_objective(chain, game, policies, [rows[0] + 0.1, rows[1]], rates, recorded)
    assert not torch.equal(first, moved)


def test_another_horizon_or_number_of_trajectories_is_refused():
    chain = Chain(**SIZES)
    recorded = [position.trajectories for position in positions_of(chain)]
    longer = Chain(**{**SIZES, "horizon": 7})
    with pytest.raises(ValueError, match="expected horizon 7 and 3"):
        meta_objective(longer, ipd(), [TabularPolicy(5, 2)] * 2, [torch.zeros(2, 5)] * 2, torch.zeros(2, 3), recorded)
