import pytest
import torch

from mamrl.games import MatrixGame, chicken, ipd, matching_pennies, rock_paper_scissors, stag_hunt, symmetric_game
from mamrl.policies.strategies import EXTORTION_FACTOR, STRATEGIES, named_strategy

START, CC, CD, DC, DD = range(5)


def cooperation(name, game=None, player=0):
    return named_strategy(name, game or ipd(), player)[:, 0].tolist()


def long_run_payoffs(first, second, payoffs):
    """Mean payoffs of two memory-one strategies, from the stationary distribution over CC, CD, DC, DD."""
    p, q = first[1:, 0], second[[CC, DC, CD, DD], 0]
    chain = torch.stack([p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)], dim=-1)
    start = torch.linalg.lstsq(
        torch.cat([chain.T - torch.eye(4, dtype=p.dtype), torch.ones(1, 4, dtype=p.dtype)]),
        torch.tensor([0, 0, 0, 0, 1], dtype=p.dtype).unsqueeze(1),
    ).solution.squeeze(1)
    return payoffs.flatten(1) @ start


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("player", [0, 1])
def test_rows_are_probabilities(name, player):
    table = named_strategy(name, ipd(), player)
    assert table.shape == (5, 2)
    assert bool(((table >= 0) & (table <= 1)).all())
    torch.testing.assert_close(table.sum(-1), torch.ones(5))


def test_tit_for_tat_does_what_the_opponent_did():
    assert cooperation("tit-for-tat") == [1, 1, 0, 1, 0]


def test_grim_cooperates_only_at_the_start_and_after_mutual_cooperation():
    assert cooperation("grim") == [1, 1, 0, 0, 0]


def test_win_stay_lose_shift_is_pavlov_in_the_dilemma():
    assert cooperation("win-stay-lose-shift") == [1, 1, 0, 0, 1]
    assert cooperation("win-stay-lose-shift", stag_hunt()) == [1, 1, 0, 0, 1]


def test_win_stay_lose_shift_reads_its_own_players_payoffs():
    # the first player wins on a match, the second on a mismatch
    assert cooperation("win-stay-lose-shift", matching_pennies(), 0) == [1, 1, 0, 1, 0]
    assert cooperation("win-stay-lose-shift", matching_pennies(), 1) == [1, 0, 1, 0, 1]


def test_extortion_takes_its_share_from_any_opponent():
    game = ipd().to(torch.float64)
    extortioner = named_strategy("extortion", game)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        mixed = 0.05 + 0.9 * torch.rand(5, 1, dtype=torch.float64, generator=generator)
        own, other = long_run_payoffs(extortioner, torch.cat([mixed, 1 - mixed], 1), game.payoffs)
        punishment = game.payoffs[0, 1, 1]
        torch.testing.assert_close(own - punishment, EXTORTION_FACTOR * (other - punishment))
        assert own > punishment


def test_extortion_of_the_original_payoffs_is_press_and_dysons():
    game = symmetric_game([[3.0, 0.0], [5.0, 1.0]], "dilemma", ("C", "D"))
    torch.testing.assert_close(
        torch.tensor(cooperation("extortion", game)[1:]), torch.tensor([11 / 13, 1 / 2, 7 / 26, 0])
    )


def test_random_plays_any_game():
    table = named_strategy("random", rock_paper_scissors(3), player=2)
    assert table.shape == (28, 3)
    torch.testing.assert_close(table, torch.full((28, 3), 1 / 3))


@pytest.mark.parametrize(
    ("name", "game", "player", "message"),
    [
        ("tit-for-tit", ipd(), 0, "unknown strategy 'tit-for-tit' \\(did you mean 'tit-for-tat'"),
        ("grim", rock_paper_scissors(), 0, "'grim' is for two players with two actions each, but rps2"),
        ("extortion", chicken(), 0, "'extortion' is for symmetric prisoner's dilemmas .* but in chicken"),
        ("grim", ipd(), 2, "player is 2, expected 0 to 1"),
        (
            "extortion",
            MatrixGame(torch.stack([ipd().payoffs[0], 2 * ipd().payoffs[1]])),
            0,
            "'extortion' is for symmetric prisoner's dilemmas",
        ),
    ],
)
def test_what_does_not_fit_is_named(name, game, player, message):
    with pytest.raises(ValueError, match=message):
        named_strategy(name, game, player)
