import itertools

import pytest
import torch
from checks import check_compiled, check_registration, check_thread_counts, strided
from lstm_cases import simd_level, simd_levels

from mamrl import ops
from mamrl.games import coin_game_twin as twin
from mamrl.games.coin_game import VARIANTS, CoinGame, coin_game
from mamrl.games.coin_game_exact import coin_game_values
from mamrl.ops.reference import AUTORESETS

STEPS = torch.ops.mamrl.coin_game_steps.default
VIEWS = [("positions", torch.uint8), ("planes", torch.float32), ("planes", torch.uint8)]
# environments in one block of the kernel and part of another; a last one alone
ENVS = 513


def example(game, horizon=9, envs=67, index=torch.int64, clocks="same", seed=2):
    generator = torch.Generator().manual_seed(seed)
    seeds = torch.randint(-(2**62), 2**62, (envs,), generator=generator)
    start = torch.full((envs,), 2**33 + 3)
    ticks = start if clocks == "same" else start + torch.randint(9, (envs,), generator=generator)
    actions = torch.randint(game.num_actions, (2, horizon, envs), generator=generator).to(index)
    elapsed = torch.randint(4, (envs,), generator=generator).int()
    return twin.start_state(game, seeds, ticks).to(torch.uint8), actions, elapsed, seeds, ticks + 4


def both(game, case, length, autoreset, observation="positions", dtype=torch.uint8):
    arguments = (*case, length, autoreset, observation, dtype)
    return ops.coin_game_steps(game.rules(), *arguments), twin.coin_game_steps(game, *arguments)


def assert_same(actual, expected):
    for name, mine, theirs in zip(actual._fields, actual, expected, strict=True):
        if name == "final_observations" and mine.numel() == 0 and theirs.numel() == 0:
            continue
        assert mine.dtype == theirs.dtype, name
        assert torch.equal(mine, theirs), name


@pytest.mark.parametrize("autoreset", AUTORESETS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("observation", "dtype"), VIEWS)
def test_steps_agree_with_the_twin(variant, autoreset, observation, dtype):
    game = coin_game(variant)
    for length in (0, 40 if autoreset == "disabled" else 4):
        for index in (torch.int64, torch.uint8):
            case = example(game, index=index)
            if not length or autoreset == "same-step":
                case[2].clamp_(max=3)
            assert_same(*both(game, case, length, autoreset, observation, dtype))


SWITCHES = list(itertools.product((1, 2), ("both", "first"), (False, True), ("free", "anywhere"), (False, True)))


@pytest.mark.parametrize(("coins", "tie", "apart", "new_coin", "pays_last"), SWITCHES)
def test_every_switch_agrees_with_the_twin(coins, tie, apart, new_coin, pays_last):
    moves = ("stay", "up", "left", "down", "right")
    for view, grid in (("same", (2, 3)), ("own-first", (2, 2))):
        game = CoinGame("any", grid, coins, moves, tie, apart, new_coin, view, pays_last)
        for clocks in ("same", "different"):
            assert_same(*both(game, example(game, envs=ENVS, horizon=20, clocks=clocks), 7, "next-step"))


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("grid", [3, 16, (16, 2), (5, 7)])
def test_every_level_computes_the_same(level, grid):
    for variant, clocks in itertools.product(("loqa", "jaxmarl"), ("same", "different")):
        game = coin_game(variant, grid=grid)
        with simd_level(level):
            assert_same(*both(game, example(game, envs=ENVS, clocks=clocks), 5, "same-step"))


def test_many_steps_in_one_call_are_many_calls():
    game = coin_game("loqa")
    state, actions, elapsed, seeds, clocks = example(game, horizon=30)
    together = ops.coin_game_steps(game.rules(), state, actions, elapsed, seeds, clocks, 7, "same-step")
    for t in range(30):
        step = ops.coin_game_steps(game.rules(), state, actions[:, t : t + 1], elapsed, seeds, clocks, 7, "same-step")
        state, elapsed, clocks = step.state, step.elapsed, step.clocks
        for one, all_of_them in zip(step[:3], together[:3], strict=True):
            assert torch.equal(one[:, 0], all_of_them[:, t])
    for one, last in zip(step[4:], together[4:], strict=True):
        assert torch.equal(one, last)


def test_an_environment_depends_on_its_own_seed_and_clock_alone():
    game = coin_game("two-coins")
    case = example(game, envs=ENVS, horizon=40, clocks="different")
    together = ops.coin_game_steps(game.rules(), *case, 7)
    for env in (0, 3, ENVS - 1):
        state, actions, elapsed, seeds, clocks = (x[..., env : env + 1] for x in (case[0].T, *case[1:]))
        alone = ops.coin_game_steps(game.rules(), state.T, actions, elapsed, seeds, clocks, 7)
        assert torch.equal(alone.observations[:, :, 0], together.observations[:, :, env])
        assert torch.equal(alone.rewards[..., 0], together.rewards[..., env])


def test_thread_count_changes_no_bit():
    game = coin_game("loqa")
    case = example(game, horizon=50, envs=5000)
    check_thread_counts(lambda: [*ops.coin_game_steps(game.rules(), *case, 7, "same-step", "positions")])


def test_random_players_earn_what_the_exact_values_say():
    game, horizon, envs = coin_game("lola"), 50, 100_000
    state, actions, elapsed, seeds, clocks = example(game, horizon, envs, torch.uint8)
    out = ops.coin_game_steps(
        game.rules(), state, actions, elapsed * 0, seeds, clocks, horizon, "disabled", "positions"
    )
    mean = out.rewards.double().mean(1)
    exact, error = coin_game_values(game, "random", "random"), mean.std(1) / envs**0.5
    assert ((mean.mean(1) - exact).abs() < 3 * error).all()


def test_out_is_filled_and_returned():
    game = coin_game("loqa")
    case = example(game)
    out = ops.CoinGameSteps.empty(game.rules(), 9, 67, "next-step", "planes", torch.uint8)
    assert ops.coin_game_steps(game.rules(), *case, 4, out=out) is out
    assert_same(out, twin.coin_game_steps(game, *case, 4, "next-step", "planes", torch.uint8))


def test_non_contiguous_arguments_give_the_same():
    game = coin_game("loqa")
    case = example(game)
    assert_same(ops.coin_game_steps(game.rules(), *map(strided, case)), ops.coin_game_steps(game.rules(), *case))


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 4, 0)])
def test_nothing_gives_nothing(shape):
    game = coin_game("loqa")
    case = example(game, *shape[1:])
    result = ops.coin_game_steps(game.rules(), *case)
    assert result.rewards.shape == shape
    assert torch.equal(result.elapsed, case[2]) or shape[1]
    assert torch.equal(result.state, case[0]) or shape[1]


def test_arguments_are_left_as_they_are_after_an_error():
    game = coin_game("loqa")
    case = example(game)
    case[1][1, 8, 66] = 4
    before = [x.clone() for x in case]
    message = r"^actions holds 4 for player 1 in environment 66, expected at least 0 and below 4$"
    with pytest.raises(ValueError, match=message):
        ops.coin_game_steps(game.rules(), *case, 4)
    assert all(map(torch.equal, case, before))


@pytest.mark.parametrize("wrong", [-1, 5, 2**62, -(2**63), 2**32])
def test_an_action_out_of_range_is_never_played(wrong):
    game = coin_game("jaxmarl")
    case = example(game, envs=1500)
    case[1][0, 4, 1400] = wrong
    with pytest.raises(ValueError, match=f"actions holds {wrong} for player 0 in environment 1400"):
        ops.coin_game_steps(game.rules(), *case, 4)


def changed(position, value):
    rules = coin_game("loqa").rules()
    rules[position] = value
    return rules


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rules": [3, 3]}, ValueError, "rules has 2 numbers, expected the 11 of mamrl.games.coin_game"),
        ({"rules": changed(0, 17)}, ValueError, "rules has a height of 17, expected 2 to 16"),
        ({"rules": changed(1, 1)}, ValueError, "rules has a width of 1, expected 2 to 16"),
        ({"rules": changed(2, 3)}, ValueError, "rules has a number of coins of 3, expected 1 to 2"),
        ({"rules": changed(3, 6)}, ValueError, "rules has a number of actions of 6, expected 1 to 5"),
        ({"rules": changed(4, 255)}, ValueError, "rules has a move of 3, expected 0 to 2"),
        ({"rules": changed(10, 2)}, ValueError, "rules has a switch of 2, expected 0 to 1"),
        ({"state": torch.zeros(67, 4)}, TypeError, "state is torch.float32, expected torch.uint8"),
        ({"state": torch.zeros(67, 3).byte()}, ValueError, r"state has shape \(67, 3\), expected \(67, 4\)"),
        ({"state": torch.full((67, 4), 9).byte()}, ValueError, "state holds 9 in environment 0, expected below 9"),
        ({"state": torch.full((67, 4), 2).byte()}, ValueError, "state holds 2 in environment 0, expected below 2"),
        (
            {"actions": torch.zeros(2, 9, 67)},
            TypeError,
            "actions is torch.float32, expected torch.int64 or torch.uint8",
        ),
        (
            {"actions": torch.zeros(3, 9, 67).long()},
            ValueError,
            r"actions has shape \(3, 9, 67\), expected \(2, T, E\)",
        ),
        ({"actions": torch.zeros(9, 67).long()}, ValueError, r"actions has shape \(9, 67\), expected \(2, T, E\)"),
        ({"elapsed": torch.zeros(67)}, TypeError, "elapsed is torch.float32, expected torch.int32"),
        ({"elapsed": torch.full((67,), 5).int()}, ValueError, "elapsed holds 5, expected 0 to 4"),
        ({"elapsed": torch.full((67,), -1).int()}, ValueError, "elapsed holds -1, expected 0 to 4"),
        ({"seeds": torch.zeros(67)}, TypeError, "seeds is torch.float32, expected torch.int64"),
        ({"clocks": torch.zeros(66).long()}, ValueError, r"clocks has shape \(66,\), expected \(67\)"),
        ({"episode_length": -1}, ValueError, "episode_length is -1, expected 0 to"),
        ({"autoreset": "never"}, ValueError, "unknown autoreset 'never'"),
        ({"autoreset": "disabled"}, ValueError, "has played . of the 4 steps of its episode, so it cannot play 9 more"),
        ({"observation": "pixels"}, ValueError, "unknown observation 'pixels'.*expected one of planes, positions"),
        ({"dtype": torch.float64}, TypeError, "observations is torch.float64, expected torch.uint8 or, of planes"),
    ],
)
def test_wrong_arguments_are_named(change, error, message):
    game = coin_game("loqa")
    names = ("state", "actions", "elapsed", "seeds", "clocks")
    case = dict(zip(names, example(game), strict=True)) | {"rules": game.rules(), "episode_length": 4} | change
    with pytest.raises(error, match=message):
        ops.coin_game_steps(**case)


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (
            0,
            torch.empty(2, 9, 67, 4, 3, 4),
            r"observations has shape \(2, 9, 67, 4, 3, 4\), expected \(2, 9, 67, 4, 3, 3\)",
        ),
        (0, torch.empty(2, 9, 67, 3).byte(), r"observations has shape \(2, 9, 67, 3\), expected \(2, 9, 67, 4\)"),
        (1, torch.empty(2, 9, 67, 4).byte(), "final_observations is of another kind, expected that of observations"),
        (2, torch.empty(2, 67, 9).mT, "rewards is not row-major"),
        (3, torch.empty(9, 67), "truncations is torch.float32, expected torch.bool"),
        (4, torch.empty(67, 5).byte(), r"state_after has shape \(67, 5\), expected \(67, 4\)"),
    ],
)
def test_wrong_memory_is_named(place, wrong, message):
    game = coin_game("loqa")
    out = list(ops.CoinGameSteps.empty(game.rules(), 9, 67, "same-step", "planes"))
    out[place] = wrong
    case = example(game)
    with pytest.raises((TypeError, ValueError), match=message):
        ops.coin_game_steps(game.rules(), *case, 4, "same-step", out=ops.CoinGameSteps(*out))


def test_registrations_hold():
    game = coin_game("loqa")
    case = example(game, horizon=2, envs=3)
    out = ops.CoinGameSteps.empty(game.rules(), 2, 3, "same-step", "positions")
    check_registration(STEPS, game.rules(), *case, 4, "same-step", *out)


def test_compiles_to_one_graph():
    game = coin_game("loqa")
    state, actions, elapsed, seeds, clocks = example(game)
    check_compiled(lambda a: ops.coin_game_steps(game.rules(), state, a, elapsed, seeds, clocks, 4).rewards, actions)
