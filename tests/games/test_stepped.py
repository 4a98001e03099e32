"""Games a step at a time are the games that they are made of."""

import pytest
import torch

from mamrl import envs
from mamrl.games.coin_game import coin_game
from mamrl.games.matrix import ipd, matching_pennies
from mamrl.games.stepped import SteppedCoinGame, SteppedMatrixGame

GAMES, STEPS = 6, 40


@pytest.mark.parametrize("variant", ["loqa", "two-coins", "lola"])
def test_a_stepped_coin_game_is_the_environment_of_the_same_seeds(variant):
    game = SteppedCoinGame(coin_game(variant))
    env = envs.batched("coin-game", GAMES, variant=variant, episode_length=0)
    seen, _ = env.reset(seed=5)
    state, view = game.start(torch.arange(5, 5 + GAMES))
    assert torch.equal(view, seen.flatten(2))
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        actions = torch.randint(4, (2, GAMES), generator=generator)
        state, view, rewards = game.step(state, actions)
        step = env.step(actions)
        assert torch.equal(view, step.observations.flatten(2))
        assert torch.equal(rewards, step.rewards)


def test_shares_tell_whose_coins_were_taken():
    game = SteppedCoinGame(coin_game("loqa"))
    # by its owner; by the other; by both, which is one of each; by nobody
    rewards = torch.tensor([[1.0, 1.0, -1.0, 0.0], [0.0, -2.0, 1.0, 0.0]]).unsqueeze(-1)
    assert game.shares(rewards) == {"own_color": 0.5}
    assert SteppedCoinGame(coin_game("two-coins")).shares(rewards) == {}


def test_a_player_of_a_matrix_game_sees_the_last_joint_action_from_its_side():
    game = SteppedMatrixGame(ipd())
    state, view = game.start(torch.arange(3))
    assert torch.equal(view.argmax(-1), torch.zeros(2, 3, dtype=torch.int64))
    _, view, rewards = game.step(state, torch.tensor([[0, 0, 1], [0, 1, 1]]))
    assert view.argmax(-1).tolist() == [[1, 2, 4], [1, 3, 4]]
    assert rewards.tolist() == [[0.5, -1.5, -0.5], [0.5, 1.5, -0.5]]


def test_a_fixed_player_always_does_what_its_name_says():
    game = SteppedMatrixGame(ipd())
    assert game.fixed_players == ("cooperate", "defect", "random")
    assert game.fixed_weights("defect", None, 1).tolist() == [[0.0, 1.0]]
    assert game.fixed_weights("random", None, 1).tolist() == [[0.5, 0.5]]


def test_a_game_that_is_another_for_its_second_player_is_refused():
    with pytest.raises(ValueError, match="symmetric"):
        SteppedMatrixGame(matching_pennies())
