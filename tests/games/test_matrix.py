"""Matrix games: the papers' payoffs, the encoding of states, and bad payoffs."""

from __future__ import annotations

import pytest
import torch

from mamrl import games
from mamrl.ops.reference import joint_state

C, D = 0, 1


def test_ipd_has_the_papers_payoffs():
    payoffs = games.ipd().payoffs
    assert [payoffs[:, a, b].tolist() for a in (C, D) for b in (C, D)] == [
        [0.5, 0.5],
        [-1.5, 1.5],
        [1.5, -1.5],
        [-0.5, -0.5],
    ]


def test_every_player_sees_its_own_action_first():
    actions = torch.tensor([[C], [D]])
    assert joint_state(actions, 0, (2, 2)).item() == 2  # CD
    assert joint_state(actions, 1, (2, 2)).item() == 3  # DC
    actions = torch.tensor([[0], [1], [2]])
    assert [joint_state(actions, player, (3, 3, 3)).item() for player in range(3)] == [
        1 + 0 * 9 + 1 * 3 + 2,
        1 + 1 * 9 + 0 * 3 + 2,
        1 + 2 * 9 + 0 * 3 + 1,
    ]


@pytest.mark.parametrize("num_players", [2, 3, 4])
def test_rock_paper_scissors_sums_wins_over_opponents(num_players):
    game = games.rock_paper_scissors(num_players)
    assert game.num_states == 1 + 3**num_players
    assert float(game.payoffs.sum(0).abs().max()) == 0
    everyone_rock_but_me = (1, *[0] * (num_players - 1))
    assert game.payoffs[(0, *everyone_rock_but_me)] == num_players - 1
    normalized = games.rock_paper_scissors(num_players, normalize=True)
    assert normalized.payoffs.abs().max() == 1


def test_state_names_follow_the_encoding():
    assert games.ipd().state_names() == ["start", "CC", "CD", "DC", "DD"]


@pytest.mark.parametrize(
    ("payoffs", "error", "message"),
    [
        (torch.zeros(2, 2), ValueError, r"shape \(2, 2\), expected \(n, A_1, ..., A_n\)"),
        (torch.zeros(3, 2, 2), ValueError, "the first size is the number of players"),
        (torch.zeros(2, 0, 2), ValueError, "shape"),
        (torch.full((2, 2, 2), float("nan")), ValueError, "NaN or infinite"),
        ("payoffs", TypeError, "payoffs must be a tensor"),
    ],
)
def test_bad_payoffs_are_one_sentence(payoffs, error, message):
    with pytest.raises(error, match=message):
        games.MatrixGame(payoffs)


def test_too_few_players_are_refused():
    with pytest.raises(ValueError, match="num_players is 1, expected 2 to 8"):
        games.rock_paper_scissors(1)
