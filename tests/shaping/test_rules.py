"""Learning rules against published numbers, basins of attraction, and independent derivations."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.func import grad

from mamrl.games import differentiable as games
from mamrl.shaping.adjusted import consensus, symplectic
from mamrl.shaping.hola import hola
from mamrl.shaping.learning import best_response, learn, mixed
from mamrl.shaping.lola import lola, lola_taylor
from mamrl.shaping.lookahead import lookahead
from mamrl.shaping.naive import naive
from mamrl.shaping.sos import sos

RULES = {
    "naive": naive,
    "lookahead": lookahead,
    "lola": lola,
    "lola_taylor": lola_taylor,
    "hola": hola,
    "sos": sos,
    "consensus": consensus,
    "symplectic": symplectic,
}


def point(*coordinates: float) -> list[torch.Tensor]:
    return [torch.tensor([c], dtype=torch.float64) for c in coordinates]


def random_pairs(batch: int = 6, size: int = 5, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, size, generator=generator, dtype=torch.float64) for _ in range(2)]


def grid() -> list[torch.Tensor]:
    axis = torch.linspace(-10, 10, 29, dtype=torch.float64)
    return [x.reshape(-1, 1) for x in torch.meshgrid(axis, axis, indexing="ij")]


def ends_in_b(rule, cells) -> torch.Tensor:
    x, y = learn(games.LogisticGame(), cells, rule, steps=200, step_size=1.0)
    return ((x > 0) & (y > 0)).squeeze(-1)


def test_lola_has_the_published_direction_at_the_probe():
    update = lola(games.LogisticGame(), point(1.0, -2.0), 1.0, extrapolation=5.0)
    assert [u.item() for u in update] == pytest.approx([0.569781985, -0.233580039], abs=1e-8)


def test_naive_learning_has_the_published_direction_at_the_probe():
    update = naive(games.LogisticGame(), point(1.0, -2.0), 2.0)
    assert [u.item() for u in update] == pytest.approx([2 * -0.598553997, 2 * 0.196877349], abs=1e-8)


def test_naive_learning_divides_the_logistic_game_at_the_antidiagonal():
    cells = grid()
    inside = (cells[0] + cells[1]).squeeze(-1).abs() > 1e-9
    found = ends_in_b(naive, [x[inside] for x in cells])
    assert int(found.sum()) == 406
    assert torch.equal(found, (cells[0] + cells[1]).squeeze(-1)[inside] > 0)


@pytest.mark.parametrize(("extrapolation", "cells"), [(1.0, 445), (5.0, 443), (10.0, 435)])
def test_lola_widens_the_preferred_basin_as_published(extrapolation: float, cells: int):
    assert abs(int(ends_in_b(partial(lola, extrapolation=extrapolation), grid()).sum()) - cells) <= 1


@pytest.mark.parametrize(("extrapolation", "cells"), [(1.0, 451), (5.0, 470)])
def test_hola2_widens_the_preferred_basin_as_published(extrapolation: float, cells: int):
    rule = partial(hola, extrapolation=extrapolation, order=2)
    assert abs(int(ends_in_b(rule, grid()).sum()) - cells) <= 1


@pytest.mark.parametrize("game", [games.LogisticGame(), games.iterated_prisoners_dilemma()])
def test_hola2_equals_its_definition_by_nested_function_transforms(game: games.DifferentiableGame):
    a, (x, y) = 0.7, random_pairs(size=game.sizes[0])

    def f(player, x, y):
        return game.values((x, y))[player].sum()

    def level(n):
        if n < 0:
            return lambda x, y: torch.zeros_like(x), lambda x, y: torch.zeros_like(y)
        g_1, g_2 = level(n - 1)
        return (
            grad(lambda x, y: f(0, x, y + a * g_2(x, y)), argnums=0),
            grad(lambda x, y: f(1, x + a * g_1(x, y), y), argnums=1),
        )

    for order in (0, 1, 2):
        expected = [g(x, y) for g in level(order)]
        torch.testing.assert_close(
            list(hola(game, (x, y), 1.0, extrapolation=a, order=order)), expected, rtol=1e-10, atol=1e-12
        )


def hessian_blocks(game, x):
    """Gradients ``[k][i] = df_k / dx_i`` and second derivatives ``[k][i][j]`` of scalar players."""
    h = torch.autograd.functional.hessian
    flat = torch.cat(x)
    value = [lambda z, k=k: game.values([z[i : i + 1] for i in range(len(x))])[k] for k in range(len(x))]
    first = torch.stack([torch.autograd.functional.jacobian(v, flat) for v in value])
    return first, torch.stack([h(v, flat) for v in value])


@pytest.mark.parametrize("at", [(1.0, -2.0), (0.3, 0.1), (-4.0, 2.5)])
def test_lookahead_lola_and_sos_equal_their_matrix_forms(at: tuple[float, float]):
    game, a = games.LogisticGame(), 0.8
    first, second = hessian_blocks(game, point(*at))
    xi = torch.diagonal(first)
    cross = torch.stack([second[0, 0, 1], second[1, 0, 1]])
    chi = torch.stack([second[1, 0, 1] * first[0, 1], second[0, 0, 1] * first[1, 0]])
    ahead = xi + a * cross * xi.flip(0)
    taylor = torch.cat(lola_taylor(game, point(*at), 1.0, extrapolation=a))
    torch.testing.assert_close(taylor, xi + a * chi, rtol=1e-10, atol=1e-12)
    along = (a * chi * ahead).sum()
    p_1 = 1.0 if along >= 0 else min(1.0, float(0.5 * ahead.square().sum() / -along))
    square = float(xi.square().sum())
    p_2 = square if math.sqrt(square) < 0.1 else 1.0
    stable = torch.cat(sos(game, point(*at), 1.0, extrapolation=a))
    torch.testing.assert_close(stable, ahead + min(p_1, p_2) * a * chi, rtol=1e-10, atol=1e-12)
    tiny = 1e-6
    near = torch.cat(lookahead(game, point(*at), 1.0, extrapolation=tiny))
    torch.testing.assert_close((near - xi) / tiny, cross * xi.flip(0), rtol=1e-4, atol=1e-6)


def test_sos_keeps_the_tandem_games_fixed_points_where_lola_leaves_them():
    """Letcher et al. 2019, section 3.2: x + y = 1 are the stable fixed points, and LOLA ends elsewhere."""
    start = random_pairs(batch=50, size=1)
    options = {"steps": 500, "step_size": 0.1}
    stable = learn(games.TandemGame(), start, partial(sos, extrapolation=0.1), **options)
    shaped = learn(games.TandemGame(), start, partial(lola, extrapolation=0.1), **options)
    assert float((stable[0] + stable[1] - 1).abs().max()) < 1e-3
    assert float((shaped[0] + shaped[1] - 1).abs().min()) > 0.05


def test_rotation_is_damped_by_consensus_and_symplectic_adjustment_only():
    start = random_pairs(batch=20, size=1)
    radius = {}
    for name in ("naive", "consensus", "symplectic"):
        end = learn(games.StatelessZeroSum(), start, RULES[name], steps=200, step_size=0.1)
        radius[name] = float(torch.cat(end).norm() / torch.cat(start).norm())
    # a step turns by s and shrinks by s times the weight: here s = .1, weights 0, .1 and 1
    for name, shrink in (("naive", 0.0), ("consensus", 0.01), ("symplectic", 0.1)):
        assert radius[name] == pytest.approx(((1 - shrink) ** 2 + 0.01) ** 100, rel=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_a_batch_is_many_pairs_that_do_not_touch_each_other(name: str):
    game, x = games.iterated_prisoners_dilemma(), random_pairs()
    together = RULES[name](game, x, 0.5)
    for pair in range(6):
        alone = RULES[name](game, [p[pair : pair + 1] for p in x], 0.5)
        for u, v in zip(together, alone, strict=True):
            torch.testing.assert_close(u[pair : pair + 1], v, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_rules_play_three_players_and_symmetric_ones_alike(name: str):
    payoffs = torch.zeros(3, 2, 2, 2, dtype=torch.float64)
    for actions in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        for player in range(3):
            # a public good: cooperating costs 1 and gives .5 to each
            payoffs[(player, *actions)] = 0.5 * actions.count(0) - (actions[player] == 0)
    game = games.TabularGame(payoffs, 0.9)
    own = torch.randn(2, game.sizes[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # a player that does not tell the others apart: states CCD and CDC are one to it
    table = own.reshape(2, 9, 2).clone()
    table[:, 3], table[:, 7] = table[:, 2], table[:, 6]
    updates = RULES[name](game, [table.flatten(1)] * 3, 1.0)
    for other in updates[1:]:
        torch.testing.assert_close(other, updates[0], rtol=1e-9, atol=1e-12)
    assert float(updates[0].abs().max()) > 0


def test_each_player_of_a_mixed_pair_follows_its_own_rule():
    game, x = games.iterated_prisoners_dilemma(), random_pairs()
    update = mixed([lola, naive])(game, x, 1.0)
    assert torch.equal(update[0], lola(game, x, 1.0)[0])
    assert torch.equal(update[1], naive(game, x, 1.0)[1])
    with pytest.raises(ValueError, match="a rule for each of 2 players"):
        mixed([naive] * 3)(game, x, 1.0)


def test_naive_learners_end_up_defecting_in_the_prisoners_dilemma():
    """500 steps of size 2 from N(0, 1): the mean return is -1.985 +- .012."""
    means = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        start = [torch.randn(256, 5, generator=generator) for _ in range(2)]
        game = games.iterated_prisoners_dilemma()
        end = learn(game, start, naive, steps=500, step_size=2.0)
        means.append(game.values(end).mean().item())
    assert sum(means) / 3 == pytest.approx(-1.985, abs=0.012)


def test_the_best_response_to_tit_for_tat_cooperates_and_to_a_cooperator_defects():
    game = games.iterated_prisoners_dilemma()
    tit_for_tat = 6 * torch.tensor([[1.0, -1, 1, -1, 1]])
    cooperator = torch.full((1, 5), 6.0)
    start = torch.full((1, 5), 0.5)
    for fixed, low, high in ((tit_for_tat, -1.1, -0.9), (cooperator, -0.1, 0.1)):
        end = best_response(game, [fixed, start], 1, steps=500, step_size=2.0, start=start)
        assert torch.equal(end[0], fixed)
        assert low < game.values(end)[1].item() < high


@pytest.mark.parametrize("name", RULES)
def test_wrong_parameters_and_step_sizes_are_refused(name: str):
    game = games.LogisticGame()
    with pytest.raises(ValueError, match="2 players"):
        RULES[name](game, point(1.0, 2.0, 3.0), 1.0)
    with pytest.raises(ValueError, match="step_size must be finite"):
        RULES[name](game, point(1.0, 2.0), math.nan)


def test_settings_out_of_range_are_refused():
    game, x = games.LogisticGame(), point(1.0, 2.0)
    for rule in (lola, lola_taylor, hola, lookahead, sos):
        with pytest.raises(ValueError, match="extrapolation must be finite"):
            rule(game, x, 1.0, extrapolation=-1.0)
    with pytest.raises(ValueError, match="order must be at least 0"):
        hola(game, x, 1.0, order=-1)
    with pytest.raises(ValueError, match="alignment must be in"):
        sos(game, x, 1.0, alignment=1.5)
    with pytest.raises(ValueError, match="player must be in"):
        best_response(game, x, 2, steps=1, step_size=1.0)


def test_learning_that_diverges_stops_and_names_the_step():
    with pytest.raises(ValueError, match=r"learning diverged: .* after step \d+ of 2000"):
        learn(games.StatelessZeroSum(), point(1.0, 1.0), naive, steps=2000, step_size=5.0)
