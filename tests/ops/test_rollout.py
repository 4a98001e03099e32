import pytest
import torch
from checks import DEVICES, assert_close, check_registration, check_scripted, check_thread_counts, on, strided
from lstm_cases import game_case

from mamrl import ops
from mamrl.ops import reference

ROLLOUT = torch.ops.mamrl.matrix_game_rollout.default
# the papers' game with every kind of player; more actions, more players, more than one counter's players; full blocks
GAMES = [
    {"actions": (2, 2), "kinds": (0, 0)},
    {"actions": (2, 2), "kinds": (1, 0)},
    {"actions": (2, 2), "kinds": (2, 2)},
    {"actions": (3, 2), "kinds": (0, 2), "units": 16},
    {"actions": (1, 3), "kinds": (2, 0)},
    {"actions": (2, 3, 2), "kinds": (0, 1, 2), "units": 20},
    {"actions": (2, 2, 2, 2, 2), "kinds": (0, 0, 1, 0, 0), "horizon": 4},
    {"actions": (4,), "kinds": (1,)},
    {"actions": (2, 2), "kinds": (2, 0), "trajectories": 67, "units": 32, "chains": 1},
    {"actions": (2, 2), "kinds": (2, 0), "trajectories": 1, "horizon": 1},
]


@DEVICES
@pytest.mark.parametrize("game", GAMES)
def test_float64_trajectories_equal_the_twins(device, game):
    case = game_case(**game)
    actual = on("cpu", *ops.matrix_game_rollout(*on(device, *case)))
    expected = reference.matrix_game_rollout(*case)
    assert len(actual) == len(expected)
    for a, b in zip(actual[:3], expected[:3], strict=True):
        assert torch.equal(a, b)
    for outputs, twins in zip(actual[3::2], expected[3::2], strict=True):
        assert_close(outputs, twins)


@pytest.mark.gpu
@pytest.mark.parametrize("game", GAMES)
def test_float32_trajectories_on_the_gpu_are_the_cpus(game):
    # a uniform within rounding of a cumulated probability may fall to either side: that trajectory goes its own way
    case = game_case(**game, dtype=torch.float32)
    ours, cpus = on("cpu", *ops.matrix_game_rollout(*on("cuda", *case))), ops.matrix_game_rollout(*case)
    same = (ours[1] == cpus[1]).all(0).all(0)
    assert same.float().mean() > 0.9
    for a, b in zip(ours[3::2], cpus[3::2], strict=True):
        torch.testing.assert_close(a[:, same], b[:, same], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("game", GAMES)
def test_float32_rollouts_are_those_of_their_own_networks(game):
    case = game_case(**game, dtype=torch.float32)
    states, actions, rewards, *recorded = ops.matrix_game_rollout(*case)
    first = 0
    for player, kind in enumerate(case.kinds):
        tensors = case.networks[first : first + reference.NUM_TENSORS[kind]]
        first += len(tensors)
        if kind == reference.TABULAR:
            index = states[player].unsqueeze(-1).expand(-1, -1, -1, tensors[0].shape[-1])
            logits = tensors[0].expand(case.horizon, -1, -1, -1).gather(2, index)
        else:
            logits = recorded[0]
            for network in range(kind):
                outputs, saved, *recorded = recorded
                table, *weights = tensors[4 * network : 4 * network + 4]
                again, saved_again = torch.ops.mamrl.lstm(table, states[player], *weights, 1.0)
                assert torch.equal(outputs, again)
                assert torch.equal(saved, saved_again)
        # a uniform within rounding of a cumulated probability may fall to either side
        for t in range(case.horizon):
            uniform = reference.uniforms(case.keys, t, case.num_trajectories, player)
            close = actions[player, t] == reference.sample(logits[t], uniform)
            assert close.float().mean() > 0.99
    index = tuple(actions)
    assert torch.equal(rewards, case.payoffs[(slice(None), *index)])
    counts = case.payoffs.shape[1:]
    for player in range(len(counts)):
        assert not states[player, 0].any()
        assert torch.equal(states[player, 1:], reference.joint_state(actions, player, counts)[:-1])


def test_actions_come_as_often_as_their_probabilities_say():
    probabilities = torch.tensor([0.2, 0.5, 0.3])
    payoffs = torch.zeros(1, 3)
    logits = probabilities.log().expand(1, 4, 3).clone()
    keys = torch.tensor([[11, 3]])
    actions = ops.matrix_game_rollout(payoffs, [logits], [0], keys, 2000, 100)[1]
    frequencies = torch.bincount(actions.flatten(), minlength=3) / actions.numel()
    # five standard deviations of 200000 draws
    torch.testing.assert_close(frequencies, probabilities, rtol=0, atol=0.006)


def test_another_seed_stream_or_chain_draws_other_actions():
    case = game_case(kinds=(0, 0), chains=1, trajectories=50, horizon=20)
    actions = [
        ops.matrix_game_rollout(*case._replace(keys=torch.tensor([key])))[1] for key in ([1, 2], [1, 3], [2, 2], [1, 2])
    ]
    assert torch.equal(actions[0], actions[3])
    assert not torch.equal(actions[0], actions[1])
    assert not torch.equal(actions[0], actions[2])
    assert not torch.equal(actions[0][0], actions[0][1])


def test_more_trajectories_or_steps_leave_the_first_ones_as_they_were():
    small = game_case(trajectories=3, horizon=5)
    large = small._replace(num_trajectories=40, horizon=9)
    for a, b in zip(ops.matrix_game_rollout(*small)[:3], ops.matrix_game_rollout(*large)[:3], strict=True):
        assert torch.equal(a, b[:, :5, :, :3])


def test_without_a_record_only_saved_is_empty():
    case = game_case(kinds=(2, 1))
    recorded, bare = ops.matrix_game_rollout(*case), ops.matrix_game_rollout(*case, record=False)
    assert len(recorded) == len(bare) == 9
    for index, (a, b) in enumerate(zip(recorded, bare, strict=True)):
        if index in (4, 6, 8):
            assert b.shape == (0,)
        else:
            assert torch.equal(a, b)


def test_registrations_hold():
    for record in (True, False):
        case = game_case(kinds=(2, 0), trajectories=2, horizon=2, dtype=torch.float32)
        check_registration(ROLLOUT, *case, record)


def test_compiles_to_one_graph():
    case = game_case(kinds=(1, 0), trajectories=2, horizon=3)
    torch.compiler.reset()
    compiled = torch.compile(ops.matrix_game_rollout, fullgraph=True, backend="aot_eager")
    for a, b in zip(compiled(*case), ops.matrix_game_rollout(*case), strict=True):
        assert torch.equal(a, b)


def test_scripts():
    case = game_case()
    source = """
    def run(payoffs: Tensor, networks: List[Tensor], kinds: List[int], keys: Tensor, trajectories: int, horizon: int):
        return torch.ops.mamrl.matrix_game_rollout(payoffs, networks, kinds, keys, trajectories, horizon)
    """
    for a, b in zip(check_scripted(source, *case), ops.matrix_game_rollout(*case), strict=True):
        assert torch.equal(a, b)


def test_non_contiguous_arguments_give_the_same():
    case = game_case()
    other = case._replace(
        payoffs=strided(case.payoffs), networks=[strided(x) for x in case.networks], keys=strided(case.keys)
    )
    for a, b in zip(ops.matrix_game_rollout(*other), ops.matrix_game_rollout(*case), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("size", [{"chains": 0}, {"trajectories": 0}, {"horizon": 0}])
def test_nothing_gives_nothing(size):
    case = game_case(**size)
    steps = (case.horizon, case.keys.shape[0], case.num_trajectories)
    shapes = [tuple(x.shape) for x in ops.matrix_game_rollout(*case)]
    assert shapes == [(2, *steps)] * 3 + [(*steps, 2), (*steps, 5, 16), (*steps, 1), (*steps, 5, 16)]


def test_thread_count_changes_no_bit():
    for size in ({"chains": 3, "trajectories": 40}, {"chains": 1, "trajectories": 700}):
        case = game_case(**size, kinds=(2, 1), units=16, dtype=torch.float32)
        check_thread_counts(lambda case=case: ops.matrix_game_rollout(*case))


def bad(**change):
    return game_case(chains=2, units=6)._replace(**change)


def with_network(index, tensor):
    case = bad()
    return case._replace(networks=[*case.networks[:index], tensor, *case.networks[index + 1 :]])


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        (bad(payoffs=torch.zeros(2, 2, 2).half()), TypeError, "payoffs is torch.float16, expected torch.float32"),
        (bad(payoffs=torch.zeros(2, 2).double()), ValueError, r"payoffs has shape \(2, 2\), expected \(n, A_1"),
        (bad(payoffs=torch.zeros(2, 2, 0).double()), ValueError, r"payoffs has shape \(2, 2, 0\)"),
        (bad(payoffs=torch.zeros(9, *[1] * 9).double()), ValueError, "with n from 1 to 8"),
        (bad(kinds=[2]), ValueError, "kinds has 1 entries, expected 2, one a player"),
        (bad(kinds=[2, 3]), ValueError, "kinds holds 3, expected 0"),
        (bad(kinds=[1, 0]), ValueError, r"networks has 9 tensors, expected 5 for kinds \[1, 0\]"),
        (bad(keys=torch.zeros(2, 2)), TypeError, "keys is torch.float32, expected torch.int64"),
        (bad(keys=torch.zeros(2).long()), ValueError, r"keys has shape \(2,\), expected \(M, 2\)"),
        (bad(keys=torch.zeros(2, 2, device="meta").long()), ValueError, "keys is on meta, expected cpu as payoffs"),
        (bad(num_trajectories=-1), ValueError, "num_trajectories is -1, expected 0 to"),
        (bad(num_trajectories=2**24), ValueError, "num_trajectories is 16777216, expected 0 to"),
        (bad(horizon=-1), ValueError, "horizon is -1, expected 0 to"),
        (
            with_network(8, torch.zeros(2, 5, 2)),
            TypeError,
            "player 1's network is torch.float32, expected torch.float64",
        ),
        (with_network(8, torch.zeros(2, 4, 2).double()), ValueError, r"player 1's logits has shape \(2, 4, 2\)"),
        (with_network(0, torch.zeros(1, 5, 24).double()), ValueError, r"player 0's policy's gate_inputs has shape \(1"),
        (with_network(1, torch.zeros(2, 24).double()), ValueError, r"policy's recurrent_weight has shape \(2, 24\)"),
        (with_network(5, torch.zeros(2, 20, 6).double()), ValueError, r"value network's recurrent_weight has shape"),
        (
            with_network(6, torch.zeros(2, 2, 6).double()),
            ValueError,
            r"value network's head_weight has shape \(2, 2, 6\)",
        ),
        (with_network(3, torch.zeros(2, 3).double()), ValueError, r"policy's head_bias has shape \(2, 3\)"),
    ],
)
def test_bad_arguments_are_named(case, error, message):
    with pytest.raises(error, match=message):
        ops.matrix_game_rollout(*case)
    if case.keys.device.type == "cpu" and "9" not in message:
        with pytest.raises(RuntimeError, match="mamrl: "):
            ROLLOUT(*case)
