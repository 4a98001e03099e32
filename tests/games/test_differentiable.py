"""Values of differentiable games against published numbers, simulation and other ways to compute them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from mamrl.games import differentiable as games
from mamrl.games.exact import exact_values, expected_rewards, player_views

PROBE = [
    torch.arange(5, dtype=torch.float64) / 10 - 0.45,
    torch.arange(5, 10, dtype=torch.float64) / 10 - 0.45,
]
IPD = torch.tensor([[[-1.0, -3.0], [0.0, -2.0]], [[-1.0, 0.0], [-3.0, -2.0]]], dtype=torch.float64)
NAMED = {
    "ipd": games.iterated_prisoners_dilemma(),
    "imp": games.iterated_matching_pennies(),
    "chicken": games.chicken(),
    "stag hunt": games.stag_hunt(),
}


def random_tables(payoffs: torch.Tensor, batch: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    counts = payoffs.shape[1:]
    states = 1 + math.prod(counts)
    return [torch.randn(batch, states, a, generator=generator, dtype=payoffs.dtype) for a in counts]


def test_ipd_has_the_published_value_and_gradient_at_the_probe():
    x = [PROBE[0].clone().requires_grad_(), PROBE[1]]
    values = games.iterated_prisoners_dilemma().values(x)
    expected = torch.tensor([-1.299165617, -1.679731552], dtype=torch.float64)
    torch.testing.assert_close(values, expected, atol=1e-8, rtol=0)
    (gradient,) = torch.autograd.grad(values[0], x[0])
    published = [-0.009499824, -0.054941376, -0.074741713, -0.045242658, -0.061670645]
    torch.testing.assert_close(gradient, torch.tensor(published, dtype=torch.float64), atol=1e-8, rtol=0)


def test_logistic_game_has_the_published_values_and_naive_gradient_at_the_probe():
    x = [
        torch.tensor([1.0], dtype=torch.float64).requires_grad_(),
        torch.tensor([-2.0], dtype=torch.float64).requires_grad_(),
    ]
    values = games.LogisticGame().values(x)
    torch.testing.assert_close(
        values, torch.tensor([-2.228379765, 0.219042862], dtype=torch.float64), atol=1e-8, rtol=0
    )
    slopes = [torch.autograd.grad(values[i], x[i], retain_graph=True)[0].item() for i in range(2)]
    assert slopes == pytest.approx([-0.598553997, 0.196877349], abs=1e-8)


def test_logistic_game_prefers_B_to_A():
    b = torch.tensor([5.030701177], dtype=torch.float64)
    game = games.LogisticGame()
    assert game.values([b, b]).tolist() == pytest.approx([3.858386193] * 2, abs=1e-8)
    assert game.values([-b, -b]).tolist() == pytest.approx([-0.08967934] * 2, abs=1e-8)


def test_tit_for_tat_against_always_defect_loses_the_first_round_only():
    tit_for_tat = 60 * torch.tensor([1.0, -1, 1, -1, 1], dtype=torch.float64)
    defect = torch.full((5,), -60.0, dtype=torch.float64)
    values = games.iterated_prisoners_dilemma().values([tit_for_tat, defect])
    assert values.tolist() == pytest.approx([-2.04, -1.92], abs=1e-9)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_closed_form_equals_the_general_solver(name: str, dtype: torch.dtype):
    game = NAMED[name]
    generator = torch.Generator().manual_seed(3)
    x = [3 * torch.randn(7, 11, 5, generator=generator, dtype=dtype) for _ in range(2)]
    tabular = game.tabular(dtype)
    general = tabular.values([games.table_from_cooperation_logits(p).flatten(-2) for p in x])
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    scale = max(abs(payoff) for payoffs in game.payoffs for payoff in payoffs)
    torch.testing.assert_close(game.values(x), general, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", NAMED)
def test_the_symmetric_games_are_those_whose_players_can_be_exchanged(name: str):
    game = NAMED[name]
    x, y = PROBE
    exchanged = game.values([y, x]).flip(0)
    assert game.symmetric == torch.allclose(game.values([x, y]), exchanged, atol=1e-12)


@pytest.mark.parametrize(
    "game",
    [*NAMED.values(), games.LogisticGame(), games.StatelessZeroSum(), games.TandemGame()],
    ids=lambda g: type(g).__name__,
)
def test_values_are_twice_differentiable(game: games.DifferentiableGame):
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(2, d, generator=generator, dtype=torch.float64, requires_grad=True) for d in game.sizes]
    assert torch.autograd.gradcheck(lambda *p: game.values(p), x)
    assert torch.autograd.gradgradcheck(lambda *p: game.values(p), x)


def test_general_solver_is_twice_differentiable_for_three_players():
    payoffs = torch.randn(3, 2, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = [t.requires_grad_() for t in random_tables(payoffs, 1)]
    assert torch.autograd.gradcheck(lambda *t: exact_values(payoffs, t, 0.9), x)
    assert torch.autograd.gradgradcheck(lambda *t: exact_values(payoffs, t, 0.9), x)


def test_views_put_a_players_own_action_first():
    # player 1 calls CD (state 2 of player 0) its DC (state 3)
    assert player_views((2, 2)).tolist() == [[0, 1, 2, 3, 4], [0, 1, 3, 2, 4]]
    views = player_views((2, 3, 4))
    for state, (a, b, c) in enumerate(itertools.product(range(2), range(3), range(4)), start=1):
        assert views[:, state].tolist() == [state, 1 + (b * 2 + a) * 4 + c, 1 + (c * 2 + a) * 3 + b]


def test_exact_values_equal_the_sum_over_every_history():
    payoffs = torch.randn(3, 2, 3, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    tables = [torch.softmax(t, -1)[0] for t in random_tables(payoffs, 1, seed=6)]
    views, discount = player_views((2, 3, 2)), 0.3
    joint_actions = list(itertools.product(range(2), range(3), range(2)))

    def remaining(state: int, steps: int) -> torch.Tensor:
        total = torch.zeros(3, dtype=torch.float64)
        for number, action in enumerate(joint_actions, start=1):
            chance = math.prod(float(tables[i][views[i, state], a]) for i, a in enumerate(action))
            follow = discount * remaining(number, steps - 1) if steps > 1 else 0
            total += chance * (payoffs[(slice(None), *action)] + follow)
        return total

    horizon = 3
    logits = random_tables(payoffs, 1, seed=6)
    by_step = expected_rewards(payoffs, logits, horizon)
    discounted = (by_step[..., 0] * discount ** torch.arange(horizon, dtype=torch.float64)[:, None]).sum(0)
    torch.testing.assert_close(discounted, remaining(0, horizon), atol=1e-12, rtol=0)


def test_exact_values_are_the_limit_of_the_finite_horizons():
    tables = random_tables(IPD, 6)
    by_step = expected_rewards(IPD, tables, 400)
    weights = 0.9 ** torch.arange(400, dtype=torch.float64)
    torch.testing.assert_close(
        (weights[:, None, None] * by_step).sum(0), exact_values(IPD, tables, 0.9), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("discount", [1.0, -0.1, math.nan, 2.0])
def test_discount_outside_zero_one_is_refused(discount: float):
    with pytest.raises(ValueError, match="discount must be in"):
        exact_values(IPD, random_tables(IPD, 1), discount)
    with pytest.raises(ValueError, match="discount must be in"):
        games.iterated_prisoners_dilemma(discount)


def test_payoffs_that_are_not_finite_are_refused():
    payoffs = IPD.clone()
    payoffs[0, 0, 1] = math.nan
    with pytest.raises(ValueError, match="payoffs must be finite"):
        exact_values(payoffs, random_tables(IPD, 1), 0.9)
    for bad in (math.inf, math.nan):
        with pytest.raises(ValueError, match="four finite payoffs"):
            games.Iterated2x2((1, 2, 3, bad), (1, 2, 3, 4))
    with pytest.raises(ValueError, match="payoffs must be finite"):
        games.TabularGame(payoffs)


def test_logits_of_the_wrong_shape_are_refused_by_name():
    tables = random_tables(IPD, 2)
    with pytest.raises(ValueError, match=r"logits\[1\] must have the shape \(M, S, A\) = \(2, 5, 2\)"):
        exact_values(IPD, [tables[0], tables[1][:, :4]], 0.9)
    with pytest.raises(ValueError, match="2 players"):
        exact_values(IPD, tables[:1], 0.9)
    with pytest.raises(ValueError, match="payoffs' dtype"):
        exact_values(IPD, [t.float() for t in tables], 0.9)
    with pytest.raises(ValueError, match=r"params\[1\] must have the shape"):
        games.chicken().values([torch.zeros(3, 5), torch.zeros(3, 4)])
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        expected_rewards(IPD, tables, 0)
    with pytest.raises(ValueError, match="one axis of actions"):
        exact_values(IPD[:1], tables, 0.9)
