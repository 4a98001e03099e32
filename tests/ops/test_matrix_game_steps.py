import pytest
import torch
from checks import DTYPES, check_compiled, check_registration, check_scripted, check_thread_counts, strided
from lstm_cases import simd_level, simd_levels

from mamrl import games, ops
from mamrl.ops import reference
from mamrl.ops.matrix_game import AUTORESETS, _actions_in_torch, _steps_in_torch

STEPS = torch.ops.mamrl.matrix_game_steps.default
ACTIONS = torch.ops.mamrl.tabular_actions.default
TURN = torch.ops.mamrl.matrix_game_turn.default
INDEX_DTYPES = (torch.int64, torch.uint8)
# one player, two with two actions, two with differently many, three
SHAPES = [(3,), (2, 2), (3, 2), (3, 3), (2, 3, 2)]


def payoffs_of(counts, dtype=torch.float32):
    return torch.randn(len(counts), *counts, dtype=dtype, generator=torch.Generator().manual_seed(1))


def example(counts=(2, 2), horizon=9, envs=67, dtype=torch.float32, index=torch.int64, waiting=3):
    generator = torch.Generator().manual_seed(2)
    actions = torch.stack([torch.randint(a, (horizon, envs), generator=generator) for a in counts]).to(index)
    elapsed = torch.randint(waiting + 1, (envs,), generator=generator).int()
    return payoffs_of(counts, dtype), actions, elapsed


def cases(autoreset):
    """Episodes that end within the steps, as far as the mode allows, and that never end."""
    return (0, 40 if autoreset == "disabled" else 4)


def assert_same(actual, expected):
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("autoreset", AUTORESETS)
@pytest.mark.parametrize("counts", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", INDEX_DTYPES)
def test_steps_agree_with_the_twin(counts, dtype, index, autoreset):
    for length in cases(autoreset):
        case = (*example(counts, dtype=dtype, index=index, waiting=3 if length else 0), length, autoreset)
        assert_same(ops.matrix_game_steps(*case), reference.matrix_game_steps(*case))


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("counts", [(2, 2), (3, 3)])
def test_every_level_computes_the_same(level, counts):
    generator = torch.Generator().manual_seed(5)
    states = torch.randint(5, (300,), generator=generator)
    seeds, clocks = torch.randint(2**62, (2, 300), generator=generator)
    for index in INDEX_DTYPES:
        case = (*example(counts, envs=1300, index=index), 4, "next-step")
        drawn = (torch.rand(1, 5, 2, generator=generator), states.to(index), None, seeds, clocks, 1)
        with simd_level(level):
            steps, actions = ops.matrix_game_steps(*case), ops.tabular_actions(*drawn)
        assert_same(steps, reference.matrix_game_steps(*case))
        assert torch.equal(actions, reference.tabular_actions(*drawn))


def turn_example(counts=(2, 2), envs=1300, rows=3, autoreset="next-step"):
    """What the twin takes, and memory for the results; the second player draws from tables of its own."""
    generator = torch.Generator().manual_seed(6)
    payoffs = payoffs_of(counts, torch.float64)
    states = 1 + counts[0] * counts[1]
    probabilities = torch.rand(rows, states, counts[1], generator=generator)
    seeds, clocks = torch.randint(2**62, (2, envs), generator=generator)
    which = torch.randint(rows, (envs,), generator=generator)
    actions = torch.randint(counts[0], (envs,), generator=generator)
    standing = torch.randint(states, (envs,), generator=generator).byte()
    elapsed = torch.randint(4, (envs,), generator=generator).int()
    joint = torch.zeros(2, 1, envs, dtype=torch.uint8)
    out = ops.GameSteps.empty(payoffs, joint, elapsed, autoreset)
    seen = torch.zeros(envs, dtype=torch.int64)
    return [payoffs, probabilities, which, seeds, clocks, actions, standing, elapsed, 4, autoreset], [joint, out, seen]


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("autoreset", ["next-step", "same-step"])
@pytest.mark.parametrize("counts", [(2, 2), (3, 2), (3, 3)])
def test_a_turn_is_the_opponents_draw_and_a_step(counts, autoreset, level):
    case, memory = turn_example(counts, autoreset=autoreset)
    with simd_level(level):
        ops.matrix_game_turn(*case, *memory)
    assert_same(memory[1], reference.matrix_game_turn(*case))
    assert torch.equal(memory[2], memory[1].states[0, 0].long())


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("states", [5, 16, 17, 200])
def test_a_policy_that_is_sure_is_looked_up_at_every_level(states, level):
    sure = torch.eye(3)[torch.randint(3, (1, states), generator=torch.Generator().manual_seed(7))]
    standing = torch.arange(1001).remainder(states)
    for index in INDEX_DTYPES:
        with simd_level(level):
            assert torch.equal(ops.tabular_actions(sure, standing.to(index)).long(), sure[0].argmax(-1)[standing])


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, torch.zeros(2, 3), r"payoffs has shape \(2, 3\), expected \(2, A_1, A_2\)"),
        (1, torch.rand(1, 5, 3), r"probabilities has shape \(1, 5, 3\), expected \(R, S, 2\)"),
        (2, torch.full((67,), 3), "rows holds 3, expected at least 0 and below 3"),
        (5, torch.full((67,), 2), "actions holds 2 in environment 0, expected at least 0 and below 2"),
        (5, torch.full((67,), -(2**40)), "actions holds -1099511627776 in environment 0"),
        (5, torch.zeros(67).byte(), "actions is torch.uint8, expected torch.int64"),
        (6, torch.zeros(67).long(), "states_before is torch.int64, expected torch.uint8"),
        (6, torch.full((67,), 5).byte(), "states holds 5, expected at least 0 and below 5"),
        (6, torch.zeros(66).byte(), r"states_before has shape"),
    ],
)
def test_wrong_arguments_of_a_turn_are_named(place, wrong, message):
    case, memory = turn_example(envs=67)
    case[place] = wrong
    with pytest.raises((TypeError, ValueError), match=message):
        ops.matrix_game_turn(*case, *memory)


def test_many_steps_in_one_call_are_many_calls():
    payoffs, actions, elapsed = example(horizon=30)
    together = ops.matrix_game_steps(payoffs, actions, elapsed, 7, "same-step")
    for t in range(30):
        step = ops.matrix_game_steps(payoffs, actions[:, t : t + 1], elapsed, 7, "same-step")
        elapsed = step.elapsed
        for one, all_of_them in zip(step[:3], together[:3], strict=True):
            assert torch.equal(one[:, 0], all_of_them[:, t])
        assert torch.equal(step.truncations[0], together.truncations[t])
    assert torch.equal(elapsed, together.elapsed)


def test_a_prisoners_dilemma_by_hand():
    payoffs = games.ipd().payoffs
    actions = torch.tensor([[[0], [0], [1], [1]], [[0], [1], [0], [1]]])  # CC, CD, DC, DD
    states, final, rewards, truncations, elapsed = ops.matrix_game_steps(
        payoffs, actions, torch.zeros(1, dtype=torch.int32), 3, "next-step"
    )
    # the fourth step starts a new episode
    assert states[:, :, 0].tolist() == [[1, 2, 3, 0], [1, 3, 2, 0]]
    assert rewards[:, :, 0].tolist() == [[0.5, -1.5, 1.5, 0], [0.5, 1.5, -1.5, 0]]
    assert truncations[:, 0].tolist() == [False, False, True, False]
    assert elapsed.item() == 0
    assert final.numel() == 0


def test_out_is_filled_and_returned():
    payoffs, actions, elapsed = example()
    out = ops.GameSteps.empty(payoffs, actions, elapsed, "next-step")
    result = ops.matrix_game_steps(payoffs, actions, elapsed, 4, "next-step", out=out)
    assert result is out
    assert_same(out, ops.matrix_game_steps(payoffs, actions, elapsed, 4, "next-step"))


def test_arguments_are_left_as_they_are_after_an_error():
    payoffs, actions, elapsed = example(waiting=0)
    actions[1, 8, 66] = 2
    before = elapsed.clone()
    with pytest.raises(
        ValueError, match=r"^actions holds 2 for player 1 in environment 66, expected at least 0 and below 2$"
    ):
        ops.matrix_game_steps(payoffs, actions, elapsed, 4)
    assert torch.equal(elapsed, before)


@pytest.mark.parametrize("wrong", [-1, 3, 2**62, -(2**63), 2**63 - 1])
def test_an_action_out_of_range_is_never_read_with(wrong):
    payoffs, actions, elapsed = example((3, 3), envs=1500)
    actions[0, 4, 1400] = wrong
    with pytest.raises(ValueError, match=f"actions holds {wrong} for player 0 in environment 1400"):
        ops.matrix_game_steps(payoffs, actions, elapsed, 4)


def test_registrations_hold():
    payoffs, actions, elapsed = example(horizon=2, envs=3)
    out = ops.GameSteps.empty(payoffs, actions, elapsed, "same-step")
    check_registration(STEPS, payoffs, actions, elapsed, 4, "same-step", *out)
    states, seeds = torch.tensor([0, 4, 2]), torch.tensor([1, 2, 3])
    case, (joint, turn, seen) = turn_example(envs=3)
    check_registration(TURN, *case, joint, *turn, seen)
    check_registration(ACTIONS, torch.rand(3, 5, 2), states, seeds - 1, seeds, seeds, 0)


def test_compiles_to_one_graph():
    payoffs, actions, elapsed = example()
    check_compiled(lambda a: ops.matrix_game_steps(payoffs, a, elapsed, 4).rewards, actions)
    table = torch.rand(1, 5, 2)
    check_compiled(lambda s: ops.tabular_actions(table, s, None, s, s), torch.tensor([0, 4, 2]))


def test_scripts():
    source = """
    def run(probabilities: Tensor, states: Tensor) -> Tensor:
        return torch.ops.mamrl.tabular_actions(probabilities, states, None, None, None, 0)
    """
    sure = torch.eye(2).repeat(1, 3, 1)[:, :5]
    states = torch.tensor([0, 1, 2, 3, 4])
    assert check_scripted(source, sure, states).tolist() == [0, 1, 0, 1, 0]


def test_thread_count_changes_no_bit():
    payoffs, actions, elapsed = example(horizon=50, envs=5000)
    check_thread_counts(lambda: list(ops.matrix_game_steps(payoffs, actions, elapsed, 7)))
    states, seeds = torch.randint(5, (200_000,)), torch.arange(200_000)
    check_thread_counts(
        lambda: ops.tabular_actions(
            torch.rand(1, 5, 2, generator=torch.Generator().manual_seed(0)), states, None, seeds, seeds
        )
    )


def test_non_contiguous_arguments_give_the_same():
    payoffs, actions, elapsed = example()
    expected = ops.matrix_game_steps(payoffs, actions, elapsed, 4)
    assert_same(ops.matrix_game_steps(strided(payoffs), strided(actions), strided(elapsed), 4), expected)


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 4, 0)])
def test_nothing_gives_nothing(shape):
    elapsed = torch.zeros(shape[2], dtype=torch.int32)
    result = ops.matrix_game_steps(payoffs_of((2, 2)), torch.zeros(shape, dtype=torch.int64), elapsed, 4)
    assert result.rewards.shape == shape
    assert torch.equal(result.elapsed, elapsed)


@pytest.mark.parametrize("autoreset", AUTORESETS)
def test_where_there_is_no_kernel_torch_computes_the_same(autoreset):
    length = cases(autoreset)[1]
    case = (*example(), length, autoreset)
    out = ops.GameSteps.empty(*case[:3], autoreset)
    _steps_in_torch(*case, *out)
    assert_same(out, ops.matrix_game_steps(*case))
    drawn = (torch.rand(4, 5, 2), torch.randint(5, (9,)), torch.randint(4, (9,)), torch.arange(9), torch.arange(9), 2)
    assert torch.equal(_actions_in_torch(*drawn), ops.tabular_actions(*drawn))
    with pytest.raises(ValueError, match="actions holds one out of range"):
        _steps_in_torch(case[0], case[1] + 1, *case[2:], *out)
    with pytest.raises(ValueError, match="rows holds one out of range"):
        _actions_in_torch(drawn[0], drawn[1], drawn[2] + 4, *drawn[3:])


@pytest.mark.parametrize("index", INDEX_DTYPES)
@pytest.mark.parametrize("num_actions", [2, 3, 5])
def test_tabular_actions_agree_with_the_twin(index, num_actions):
    generator = torch.Generator().manual_seed(3)
    table = torch.rand(7, 11, num_actions, generator=generator)
    states = torch.randint(11, (3000,), generator=generator).to(index)
    rows = torch.randint(7, (3000,), generator=generator)
    seeds, clocks = torch.randint(-(2**62), 2**62, (2, 3000), generator=generator)
    for player in (0, 1, 2, 3, 4, 7):
        case = (table, states, rows, seeds, clocks, player)
        assert torch.equal(ops.tabular_actions(*case), reference.tabular_actions(*case))
    assert torch.equal(
        ops.tabular_actions(table, states), reference.tabular_actions(table, states, None, None, None, 0)
    )


def test_draws_have_their_probabilities_and_depend_on_seed_clock_and_player():
    count = 200_000
    table = torch.tensor([[[0.2, 0.5, 0.3]]], dtype=torch.float64)
    states, seeds, clocks = torch.zeros(count, dtype=torch.int64), torch.arange(count), torch.full((count,), 2**40 + 3)
    drawn = [
        ops.tabular_actions(table, states, None, seeds, clocks, 0),
        ops.tabular_actions(table, states, None, seeds, clocks + 1, 0),
        ops.tabular_actions(table, states, None, seeds + count, clocks, 0),
        ops.tabular_actions(table, states, None, seeds, clocks, 1),
    ]
    for actions in drawn:
        shares = torch.bincount(actions, minlength=3) / count
        # four standard deviations of the largest share
        torch.testing.assert_close(shares, torch.tensor([0.2, 0.5, 0.3]), rtol=0, atol=4 * (0.25 / count) ** 0.5)
    same = 0.2**2 + 0.5**2 + 0.3**2
    for other in drawn[1:]:
        agreement = float((drawn[0] == other).double().mean())
        assert abs(agreement - same) < 4 * (0.25 / count) ** 0.5


def test_the_clocks_upper_half_counts():
    states = torch.zeros(4000, dtype=torch.int64)
    seeds, clocks = torch.arange(4000), torch.arange(4000)
    table = torch.full((1, 1, 2), 0.5)
    first = ops.tabular_actions(table, states, None, seeds, clocks)
    assert not torch.equal(first, ops.tabular_actions(table, states, None, seeds, clocks + 2**32))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"payoffs": torch.zeros(2, 2, 2).half()}, TypeError, "payoffs is torch.float16, expected torch.float32"),
        ({"payoffs": torch.zeros(2, 2)}, ValueError, r"payoffs has shape \(2, 2\), expected \(n, A_1"),
        (
            {"actions": torch.zeros(2, 9, 67)},
            TypeError,
            "actions is torch.float32, expected torch.int64 or torch.uint8",
        ),
        (
            {"actions": torch.zeros(3, 9, 67).long()},
            ValueError,
            r"actions has shape \(3, 9, 67\), expected \(n, T, E\) with n = 2",
        ),
        ({"elapsed": torch.zeros(67)}, TypeError, "elapsed is torch.float32, expected torch.int32"),
        ({"elapsed": torch.zeros(66).int()}, ValueError, r"elapsed has shape \(66,\), expected \(67\)"),
        ({"elapsed": torch.full((67,), -1).int()}, ValueError, "elapsed holds -1, expected 0 to 4"),
        ({"elapsed": torch.full((67,), 5).int()}, ValueError, "elapsed holds 5, expected 0 to 4"),
        ({"episode_length": -1}, ValueError, "episode_length is -1, expected 0 to"),
        ({"autoreset": "never"}, ValueError, "autoreset is 'never', expected 'next-step', 'same-step' or 'disabled'"),
        (
            {"autoreset": "disabled"},
            ValueError,
            "has played . of the 4 steps of its episode, so it cannot play 9 more: reset it",
        ),
        (
            {"payoffs": torch.zeros(2, 16, 16), "actions": torch.zeros(2, 9, 67).byte()},
            ValueError,
            "cannot hold the 257 states",
        ),
    ],
)
def test_bad_steps_are_named(change, error, message):
    payoffs, actions, elapsed = example()
    case = {"payoffs": payoffs, "actions": actions, "elapsed": elapsed, "episode_length": 4, "autoreset": "next-step"}
    with pytest.raises(error, match=message):
        ops.matrix_game_steps(**(case | change))


def test_outputs_of_a_wrong_kind_are_named():
    payoffs, actions, elapsed = example()
    out = ops.GameSteps.empty(payoffs, actions, elapsed, "next-step")
    for change, message in (
        ({"rewards": out.rewards.double()}, "rewards is torch.float64, expected torch.float32"),
        ({"states": out.states[:, 1:]}, "states has shape"),
        ({"states": strided(out.states)}, "states is not row-major"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            ops.matrix_game_steps(payoffs, actions, elapsed, 4, out=out._replace(**change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"probabilities": torch.zeros(5, 2)}, ValueError, r"probabilities has shape \(5, 2\), expected \(R, S, A\)"),
        ({"states": torch.tensor([0, 5, 1])}, ValueError, "states holds 5, expected at least 0 and below 5"),
        ({"states": torch.tensor([0, -1, 1])}, ValueError, "states holds -1"),
        ({"states": torch.zeros(3)}, TypeError, "states is torch.float32, expected torch.int64 or torch.uint8"),
        ({"rows": torch.tensor([0, 2, 0])}, ValueError, "rows holds 2, expected at least 0 and below 2"),
        ({"rows": torch.tensor([0, 1])}, ValueError, r"rows has shape \(2,\)"),
        ({"clocks": None}, ValueError, "one of seeds and clocks is missing"),
        ({"player": 8}, ValueError, "player is 8, expected 0 to 7"),
    ],
)
def test_bad_draws_are_named(change, error, message):
    index = torch.tensor([0, 1, 0])
    case = {
        "probabilities": torch.rand(2, 5, 2),
        "states": index,
        "rows": index,
        "seeds": index,
        "clocks": index,
        "player": 0,
    }
    with pytest.raises(error, match=message):
        ops.tabular_actions(**(case | change))
