"""Basins, exploitability, tit-for-tat and tournaments."""

from __future__ import annotations

import pytest
import torch

from mamrl.evaluation.learning_rules import Entrant, basin, exploit, plays_tit_for_tat, policy_grid, tournament
from mamrl.games import differentiable as games
from mamrl.shaping.learning import learn, mixed
from mamrl.shaping.lola import lola_taylor
from mamrl.shaping.maml import maml_initial_policies
from mamrl.shaping.naive import naive

TIT_FOR_TAT = torch.tensor([1.0, -1, 1, -1, 1])


def shaper(game, params, step_size):
    return lola_taylor(game, params, step_size, extrapolation=5.0)


def test_tit_for_tat_is_told_from_its_neighbours():
    assert bool(plays_tit_for_tat(3 * TIT_FOR_TAT))
    for state in range(5):
        other = 3 * TIT_FOR_TAT.clone()
        other[state] *= -1
        assert not bool(plays_tit_for_tat(other))
    # s(1) = .73 is beyond a margin of .2, not of .25
    assert bool(plays_tit_for_tat(TIT_FOR_TAT, margin=0.2))
    assert not bool(plays_tit_for_tat(TIT_FOR_TAT, margin=0.25))


def test_tit_for_tat_is_not_exploited_and_a_cooperator_is():
    start = torch.full((1, 5), 0.5)
    game = games.iterated_prisoners_dilemma()
    kept = exploit(game, [6 * TIT_FOR_TAT.unsqueeze(0), start], start=start).kept
    lost = exploit(game, [torch.full((1, 5), 6.0), start], start=start)
    assert kept.item() > -1.1
    assert lost.kept.item() < -2.8
    assert lost.gained.item() > -0.1


def test_a_tournament_holds_what_each_pairing_alone_gives():
    game = games.iterated_prisoners_dilemma()
    initial = torch.linspace(-1, 1, 10).reshape(2, 5)
    field = {"naive": Entrant(naive, 2.0), "LOLA": Entrant(shaper, 5.0), "MAML": Entrant(naive, 1.0, initial)}
    result = tournament(game, field, pairs=6, steps=4, seed=3)
    start = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(3))
    for i, first in enumerate(field.values()):
        for j, second in enumerate(field.values()):
            params = [
                start[p] if e.initial is None else e.initial[p].expand(6, -1) for p, e in enumerate((first, second))
            ]
            rule = mixed(
                [
                    lambda g, x, s, e=first: e.rule(g, x, s * e.step_size),
                    lambda g, x, s, e=second: e.rule(g, x, s * e.step_size),
                ]
            )
            values = game.values(learn(game, params, rule, steps=4, step_size=1.0))
            torch.testing.assert_close(result.mean[i, j], values.mean(-1), rtol=1e-4, atol=1e-5)
            # Student's t with five degrees of freedom
            half = 2.570582 * values.std(-1) / 6**0.5
            torch.testing.assert_close(result.interval[i, j], half, rtol=1e-3, atol=1e-5)


def test_a_diverging_entrant_is_named():
    field = {"calm": Entrant(naive, 0.1), "wild": Entrant(lambda g, x, s: tuple(p / 0 for p in x), 1.0)}
    with pytest.raises(ValueError, match="wild as player 1 left the finite numbers"):
        tournament(games.chicken(), field, pairs=2, steps=2)


def test_maml_finds_initial_policies_that_learn_better_than_random_ones():
    game = games.iterated_prisoners_dilemma()
    options = {"step_size": 2.0, "inner_steps": 3}
    initial = maml_initial_policies(game, iterations=15, batch=16, **options)
    other = torch.randn(200, 5, generator=torch.Generator().manual_seed(9))
    own = torch.randn(200, 5, generator=torch.Generator().manual_seed(10))
    found = learn(game, [initial[0].expand(200, -1), other], naive, steps=3, step_size=2.0)
    random = learn(game, [own, other], naive, steps=3, step_size=2.0)
    assert game.values(found)[0].mean() > game.values(random)[0].mean() + 0.05


def test_the_grid_covers_the_square_and_a_rule_that_stands_still_keeps_the_positive_quadrant():
    cells = policy_grid(5, 2.0)
    assert cells[0].unique().tolist() == [-2, -1, 0, 1, 2]
    assert torch.equal(cells[0].reshape(5, 5), cells[1].reshape(5, 5).T)
    still = basin(games.LogisticGame(), lambda g, x, s: tuple(torch.zeros_like(p) for p in x), cells, steps=1)
    assert int(still.sum()) == 4


def test_wrong_settings_are_refused():
    game = games.TabularGame(torch.zeros(3, 2, 2, 2))
    with pytest.raises(ValueError, match="two players"):
        tournament(game, {}, pairs=2)
    with pytest.raises(ValueError, match="pairs must be at least 2"):
        tournament(games.chicken(), {"naive": Entrant(naive, 1.0)}, pairs=1)
    with pytest.raises(ValueError, match="margin must be in"):
        plays_tit_for_tat(TIT_FOR_TAT, margin=0.5)
    with pytest.raises(ValueError, match=r"shape \(\*batch, 5\)"):
        plays_tit_for_tat(torch.zeros(4))
    with pytest.raises(ValueError, match="side must be an integer from 2"):
        policy_grid(1)
