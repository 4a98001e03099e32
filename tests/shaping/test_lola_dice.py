"""LOLA-DiCE: its gradient is exact LOLA's where sampling is plentiful, and self-play learns to cooperate."""

from __future__ import annotations

import pytest
import torch

from mamrl.games import ipd
from mamrl.games.exact import exact_values
from mamrl.games.matrix import MatrixGame
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain
from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.shaping.lola_dice import lola_dice_gradient, self_play

POLICY = TabularPolicy(5, 2)
POLICIES = [POLICY, POLICY]
DISCOUNT = 0.85


def exact_lookahead_gradient(rows: list[torch.Tensor], player: int, lookahead: int, step: float) -> torch.Tensor:
    """d V_i(phi_i, phi_j after naive steps) / d phi_i by autograd on the closed form."""
    joint = [row.clone().requires_grad_() for row in rows]
    payoffs, other = ipd().payoffs.to(torch.float64), 1 - player
    moved = list(joint)
    for _ in range(lookahead):
        value = exact_values(payoffs, [POLICY.table(row) for row in moved], DISCOUNT)[other]
        moved[other] = moved[other] + step * torch.autograd.grad(value.sum(), moved[other], create_graph=True)[0]
    value = exact_values(payoffs, [POLICY.table(row) for row in moved], DISCOUNT)[player]
    return torch.autograd.grad(value.sum(), joint[player])[0]


@pytest.mark.parametrize("objective", ["loaded-dice", "dice"])
@pytest.mark.parametrize(("player", "lookahead"), [(0, 1), (1, 1), (0, 2)])
def test_gradient_approaches_exact_lola(objective, player, lookahead):
    game = ipd().to(torch.float64)
    rows = [
        torch.tensor([[0.3, 0.6, -0.8, 0.4, -0.2]], dtype=torch.float64),
        torch.tensor([[0.5, 0.9, 0.1, -0.4, 0.7]], dtype=torch.float64),
    ]
    chain = Chain(
        "lola-dice",
        lookahead_dice=objective,
        num_trajectories=20000,
        horizon=60,
        discount=DISCOUNT,
        inner_gae_lambda=1.0,
        peer_lr=2.0,
        lookahead=lookahead,
    )

    def sampler(position, joint):
        return play(game, POLICIES, joint, random_keys(3, "other", player, position, 1), 20000, 60)

    sampled = lola_dice_gradient(chain, game, POLICIES, rows, sampler, player)
    exact = exact_lookahead_gradient(rows, player, lookahead, 2.0)
    naive = exact_lookahead_gradient(rows, player, 0, 0.0)
    assert torch.cosine_similarity(sampled, exact).item() > 0.98
    assert float(sampled.norm() / exact.norm()) == pytest.approx(1, abs=0.15)
    # a naive gradient would not pass for it
    assert torch.cosine_similarity(naive, exact).item() < 0.95


def learn(looks_ahead: bool, policy=POLICY, updates: int = 60, **options) -> torch.Tensor:
    """Both players' last mean discounted reward a step in the dilemma of payoffs -1, -3, 0, -2."""
    game = MatrixGame(ipd().payoffs - 1.5, "ipd")
    chain = Chain("lola-dice", peer_lr=0.3, lookahead=2, num_trajectories=64, horizon=100)
    start = [torch.stack([policy.initial(torch.Generator().manual_seed(s)) for s in range(4)]) for _ in range(2)]
    history, _ = self_play(
        chain, game, [policy, policy], start, updates=updates, learning_rate=0.2, looks_ahead=looks_ahead, **options
    )
    return history[-5:].mean(0)


def test_self_play_reaches_mutual_cooperation_where_naive_learning_defects():
    assert learn(looks_ahead=True).mean() > -1.15
    assert learn(looks_ahead=False).mean() < -1.95


def test_lstm_policies_take_the_same_step():
    policy = LSTMPolicy(5, 2, 16)
    rows = [policy.initial(torch.Generator().manual_seed(s))[None] for s in (0, 1)]
    chain = Chain("lola-dice", num_trajectories=8, horizon=10, lookahead=2)

    def sampler(position, joint):
        return play(ipd(), [policy, policy], joint, random_keys(0, "other", 0, position, 1), 8, 10)

    gradient = lola_dice_gradient(chain, ipd(), [policy, policy], rows, sampler)
    assert gradient.shape == rows[0].shape
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_same_seed_same_history():
    first, again, other = (learn(True, updates=6, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
