import pytest
import torch

from mamrl.games.coin_game import PLAYERS, VARIANTS, CoinGame, coin_game, distance, move_weights
from mamrl.games.coin_game_exact import (
    all_states,
    best_joint_values,
    best_response,
    coin_game_values,
    policy_table,
    start_weights,
)
from mamrl.games.coin_game_twin import (
    coin_cells,
    coin_game_steps,
    observe,
    outcome,
    replaced,
    start_state,
    step_words,
)

RIGHT, LEFT, DOWN, UP = range(4)


def assert_values(values, first, second):
    # to the figures that are written down
    assert abs(float(values[0]) - first) < 5.1e-5, values
    assert abs(float(values[1]) - second) < 5.1e-5, values


# ---- exact values ---------------------------------------------------------------------------------------

PUBLISHED = [
    ("loqa", "cooperate", "cooperate", 0.3486, 0.3486),
    ("loqa", "defect", "cooperate", 0.6369, -0.2660),
    ("loqa", "cooperate", "defect", -0.2660, 0.6369),
    ("loqa", "defect", "defect", 0, 0),
    ("loqa", "random", "random", 0, 0),
    ("pola", "pola-cooperate", "pola-cooperate", 0.3322, 0.3322),
    ("pola", "defect", "pola-cooperate", 0.6218, -0.2595),
    ("lola", "cooperate", "cooperate", 0.3486, 0.3486),
    ("lola", "defect", "defect", 0.6454, -0.6454),
    ("lola", "defect", "cooperate", 0.6367, -0.4248),
    ("lola", "random", "random", 0.0126, -0.0126),
]


@pytest.mark.parametrize(("variant", "first", "second", "mine", "theirs"), PUBLISHED)
def test_exact_values_of_fixed_players_over_50_steps(variant, first, second, mine, theirs):
    assert_values(coin_game_values(coin_game(variant), first, second), mine, theirs)


@pytest.mark.parametrize("variant", ["loqa", "lola"])
def test_two_cooperators_are_the_joint_optimum(variant):
    game = coin_game(variant)
    best = best_joint_values(game).mean()
    torch.testing.assert_close(best, coin_game_values(game, "cooperate", "cooperate").mean(), rtol=1e-12, atol=0)
    assert_values(best.expand(2), 0.3486, 0.3486)


def test_a_fifth_move_changes_neither_cooperators_nor_defectors_values():
    game = coin_game("loqa", moves=("left", "right", "up", "down", "stay"))
    assert_values(coin_game_values(game, "cooperate", "cooperate"), 0.3486, 0.3486)
    assert_values(coin_game_values(game, "defect", "cooperate"), 0.6369, -0.2660)


def test_with_two_coins_cooperators_come_close_to_the_optimum():
    for variant in ("mfos", "jaxmarl"):
        game = coin_game(variant)
        shared = coin_game_values(game, "cooperate", "cooperate", 20).mean() / best_joint_values(game, 20).mean()
        assert 0.99 < float(shared) <= 1


def test_a_game_of_one_step_by_hand():
    game = coin_game("loqa")
    values = coin_game_values(game, "defect", "cooperate", 1)
    states = all_states(game)
    near = [distance(game, states[:, seat], states[:, 2]) == 1 for seat in (0, 1)]
    weights, theirs = start_weights(game), states[:, 3] == 1
    expected = (weights * near[0]).sum()
    torch.testing.assert_close(values[0], expected)
    lost = (weights * (near[0] & theirs)).sum()
    torch.testing.assert_close(values[1], (weights * (near[1] & theirs)).sum() - 2 * lost)


@pytest.mark.parametrize("variant", ["loqa", "lola", "mfos"])
@pytest.mark.parametrize("player", ["cooperate", "defect", "random"])
def test_no_fixed_player_does_better_than_the_best_response(variant, player):
    game, horizon = coin_game(variant), 5
    for seat in (0, 1):
        responder = 1 - seat
        response = best_response(game, player, seat, horizon)
        for other in ("cooperate", "defect", "random"):
            pair = (player, other) if seat == 0 else (other, player)
            assert response.values[responder] >= coin_game_values(game, *pair, horizon)[responder] - 1e-12


def test_a_best_response_earns_what_it_says():
    game, horizon = coin_game("loqa"), 4
    response = best_response(game, "cooperate", 1, horizon)
    assert response.actions.shape == (horizon, len(all_states(game)))
    # evaluated forwards: the distribution over states, step by step
    states, weights, earned = all_states(game), start_weights(game), torch.zeros(2, dtype=torch.float64)
    other = policy_table(game, "cooperate", 1)
    sizes = torch.tensor([size for size in game.sizes])
    radix = torch.tensor([int(sizes[i + 1 :].prod()) for i in range(4)])
    cells = torch.arange(game.num_cells)
    for actions in response.actions:
        following = torch.zeros_like(weights)
        for theirs in range(game.num_actions):
            joint = torch.stack([actions, torch.full_like(actions, theirs)], -1)
            after = outcome(game, states, joint)
            share = weights * other[:, theirs]
            earned += share @ after.rewards.double()
            for cell in cells:
                low, high = after.players.amin(-1), after.players.amax(-1)
                free = (cell != low) & (cell != high)
                probability = free.double() / (game.num_cells - 1 - (low != high).double())
                nxt = replaced(game, states, after, cell.expand(len(states), 1))
                taken = after.takers.any(-1).any(-1)
                portion = torch.where(taken, probability, 1 / game.num_cells)
                following.index_add_(0, (nxt * radix).sum(-1), share * portion)
        weights = following
    torch.testing.assert_close(earned / horizon, response.values)


def test_the_last_step_may_be_unpaid():
    paid, unpaid = coin_game("loqa"), coin_game("loqa", pays_last=False)
    one_less = coin_game_values(paid, "defect", "cooperate", 9) * 9
    torch.testing.assert_close(coin_game_values(unpaid, "defect", "cooperate", 10) * 10, one_less)


def test_a_policy_of_ones_own_is_a_table_over_all_states():
    game = coin_game("loqa")
    table = policy_table(game, "defect", 0)
    expected = coin_game_values(game, "defect", "cooperate")
    torch.testing.assert_close(coin_game_values(game, table, "cooperate"), expected)
    with pytest.raises(ValueError, match=r"player 0's policy has shape \(3, 4\), expected \(1458, 4\)"):
        coin_game_values(game, table[:3], "cooperate")
    with pytest.raises(ValueError, match="player 1's policy holds rows that are no probabilities"):
        coin_game_values(game, "defect", table * 2)
    with pytest.raises(ValueError, match="horizon is 0, expected 1 to 100000"):
        coin_game_values(game, "defect", "defect", 0)
    with pytest.raises(ValueError, match=r"grid of 16 x 16 with 1 coin\(s\) has 33554432 states, too many"):
        coin_game_values(coin_game("loqa", grid=16), "defect", "defect")


# ---- rules, by hand ---------------------------------------------------------------------------------------


def play(game, state, *actions):
    after = outcome(game, torch.tensor(state), torch.tensor(actions))
    return after.players.tolist(), after.takers.tolist(), after.rewards.tolist()


def test_the_grids_edges_are_joined():
    assert play(coin_game("pola"), [2, 6, 4, 0], RIGHT, DOWN)[0] == [0, 0]
    assert play(coin_game("pola"), [0, 0, 4, 0], LEFT, UP)[0] == [2, 6]
    assert play(coin_game("pola", grid=(2, 5)), [4, 0, 6, 0], RIGHT, UP)[0] == [0, 5]


def test_loqas_moves_are_polas_in_another_order():
    for loqa, pola in zip((1, 0, 3, 2), range(4), strict=True):
        moves = coin_game("loqa").moves, coin_game("pola").moves
        assert moves[0][loqa] == moves[1][pola]


def test_who_is_paid():
    game = coin_game("pola")
    assert play(game, [0, 8, 1, 0], RIGHT, RIGHT)[1:] == ([[True, False]], [1, 0])
    assert play(game, [0, 8, 1, 1], RIGHT, RIGHT)[1:] == ([[True, False]], [1, -2])
    assert play(game, [8, 0, 1, 0], RIGHT, RIGHT)[1:] == ([[False, True]], [-2, 1])
    # both arrive: the owner ends at 1 - 2
    assert play(game, [0, 2, 1, 0], RIGHT, LEFT)[2] == [-1, 1]
    assert play(game, [0, 2, 1, 1], RIGHT, LEFT)[2] == [1, -1]
    # or the first player alone
    assert play(coin_game("lola"), [0, 2, 1, 0], RIGHT, LEFT)[1:] == ([[True, False]], [1, 0])
    assert play(coin_game("lola"), [0, 2, 1, 1], RIGHT, LEFT)[1:] == ([[True, False]], [1, -2])


def test_two_coins_are_paid_apart():
    game = coin_game("mfos")
    assert play(game, [0, 4, 1, 5], RIGHT, RIGHT)[2] == [1, 1]
    assert play(game, [0, 4, 5, 1], RIGHT, RIGHT)[2] == [-1, -1]
    # both in one cell, taken by one
    assert play(game, [0, 8, 1, 1], RIGHT, RIGHT)[2] == [2, -2]


def test_the_owner_changes_when_a_coin_is_taken_and_only_then():
    game = coin_game("pola")
    for state, expected in (([0, 8, 1, 0], [1, 6, 5, 1]), ([0, 8, 2, 0], [1, 6, 2, 0])):
        after = outcome(game, torch.tensor(state), torch.tensor([RIGHT, RIGHT]))
        assert replaced(game, torch.tensor(state), after, torch.tensor([5])).tolist() == expected
    game = coin_game("mfos")
    state = torch.tensor([0, 8, 1, 4])
    after = outcome(game, state, torch.tensor([RIGHT, RIGHT]))
    assert replaced(game, state, after, torch.tensor([7, 7])).tolist() == [1, 6, 7, 4]


@pytest.mark.parametrize("grid", [2, 3, (2, 7), 16])
def test_a_coin_appears_in_every_free_cell_alike(grid):
    game = coin_game("loqa", grid=grid)
    count = 20_000
    seeds = torch.arange(count)
    words = step_words(game, seeds, torch.zeros_like(seeds))
    for players in ([1, 3], [2, 2], [game.num_cells - 1, 0]):
        cells = coin_cells(game, torch.tensor(players).expand(count, 2), words)[:, 0]
        free = [cell for cell in range(game.num_cells) if cell not in players]
        share = torch.bincount(cells, minlength=game.num_cells) / count
        assert share[players].sum() == 0
        assert (share[free] - 1 / len(free)).abs().max() < 5 * (1 / len(free) / count) ** 0.5


def test_starts_have_the_probabilities_that_the_exact_values_use():
    count = 200_000
    for variant in ("loqa", "lola", "jaxmarl"):
        game = coin_game(variant)
        seeds = torch.arange(count)
        states = start_state(game, seeds, torch.zeros_like(seeds))
        index = torch.zeros_like(seeds)
        for number, size in zip(states.unbind(-1), game.sizes, strict=True):
            assert int(number.min()) >= 0
            assert int(number.max()) < size
            index = index * size + number
        share, expected = torch.bincount(index, minlength=len(all_states(game))) / count, start_weights(game)
        assert share[expected == 0].sum() == 0
        # five standard deviations
        assert ((share - expected).abs() <= 5 * (expected / count).sqrt()).all()


# ---- what the players see -----------------------------------------------------------------------------------


def test_observations_by_hand():
    loqa, lola, mfos = coin_game("loqa"), coin_game("lola"), coin_game("two-coins")
    state = torch.tensor([0, 5, 7, 1])
    assert observe(loqa, state, "positions").tolist() == [[0, 5, 7, 1], [5, 0, 7, 0]]
    assert observe(lola, state, "positions").tolist() == [[0, 5, 7, 1]] * 2
    assert observe(mfos, state, "positions").tolist() == [[0, 5, 7, 1], [5, 0, 1, 7]]
    planes = observe(loqa, state, "planes").flatten(2)
    assert planes.shape == (2, 4, 9)
    assert [plane.nonzero().flatten().tolist() for plane in planes[0]] == [[0], [5], [], [7]]
    assert [plane.nonzero().flatten().tolist() for plane in planes[1]] == [[5], [0], [7], []]
    planes = observe(mfos, state, "planes").flatten(2)
    assert [plane.nonzero().flatten().tolist() for plane in planes[1]] == [[5], [0], [1], [7]]


# ---- samples ------------------------------------------------------------------------------------------------


def sampled(game, first, second, envs, horizon, seed=0):
    """Mean rewards a step (2,) of episodes played by the twin, and their standard errors."""
    generator = torch.Generator().manual_seed(seed)
    seeds, clocks = torch.arange(envs), torch.zeros(envs, dtype=torch.int64)
    state, elapsed = start_state(game, seeds, clocks).to(torch.uint8), torch.zeros(envs, dtype=torch.int32)
    clocks, total = clocks + 4, torch.zeros(2, envs, dtype=torch.float64)
    for _ in range(horizon):
        weights = (move_weights(game, name, state, seat) for seat, name in enumerate((first, second)))
        actions = torch.stack([torch.multinomial(w, 1, generator=generator)[:, 0] for w in weights]).unsqueeze(1)
        step = coin_game_steps(game, state, actions, elapsed, seeds, clocks, horizon, "disabled", "positions")
        state, elapsed, clocks = step.state, step.elapsed, step.clocks
        total += step.rewards[:, 0]
    return total.mean(1) / horizon, total.std(1) / horizon / envs**0.5


SAMPLED = [(variant, *pair) for variant in VARIANTS for pair in (("cooperate", "cooperate"), ("defect", "cooperate"))]


@pytest.mark.parametrize(
    ("variant", "first", "second"), [*SAMPLED, ("pola", "pola-cooperate", "defect"), ("lola", "defect", "defect")]
)
def test_samples_are_within_three_standard_errors_of_the_exact_values(variant, first, second):
    game, horizon = coin_game(variant), 12
    mean, error = sampled(game, first, second, 20_000, horizon)
    exact = coin_game_values(game, first, second, horizon)
    assert ((mean - exact).abs() < 3 * error).all(), (mean, exact, error)


def test_samples_on_a_larger_grid():
    game = coin_game("loqa", grid=(4, 5))
    mean, error = sampled(game, "defect", "cooperate", 20_000, 12)
    exact = coin_game_values(game, "defect", "cooperate", 12)
    assert ((mean - exact).abs() < 3 * error).all()


# ---- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("player", PLAYERS)
def test_fixed_players_weights_are_probabilities(player):
    for variant in ("loqa", "pola"):
        game = coin_game(variant)
        for seat in (0, 1):
            weights = move_weights(game, player, all_states(game), seat)
            torch.testing.assert_close(weights.sum(-1), torch.ones(len(weights), dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: coin_game("lolla"), ValueError, r"unknown variant 'lolla' \(did you mean 'lola'\?\); expected one of"),
        (lambda: CoinGame(grid=1), ValueError, "grid is 1 x 1, expected sides of 2 to 16: it has to hold two players"),
        (lambda: CoinGame(grid=(3, 17)), ValueError, "grid is 3 x 17, expected sides of 2 to 16"),
        (lambda: CoinGame(grid=3.5), TypeError, "grid is 3.5, expected an integer or a pair of them"),
        (lambda: CoinGame(coins=3), ValueError, "coins is 3, expected 1 or 2"),
        (lambda: CoinGame(moves=("right", "right")), ValueError, "expected at least one, each once"),
        (lambda: CoinGame(moves=("right", "jump")), ValueError, "unknown move 'jump'"),
        (lambda: CoinGame(tie="red"), ValueError, "unknown tie 'red'; expected one of both, first"),
        (lambda: coin_game("loqa", new_coin="off"), ValueError, "unknown new_coin 'off'"),
        (lambda: coin_game("loqa", view="own"), ValueError, "unknown view 'own'"),
        (lambda: coin_game("loqa", colour=1), TypeError, "colour"),
        (
            lambda: move_weights(coin_game("mfos"), "pola-cooperate", torch.zeros(4), 0),
            ValueError,
            "the player 'pola-cooperate' knows one coin, and 'mfos' has 2",
        ),
        (lambda: move_weights(coin_game("mfos"), "nobody", torch.zeros(4), 0), ValueError, "unknown player 'nobody'"),
    ],
)
def test_wrong_rules_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
