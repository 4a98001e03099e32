import numpy as np
import pytest
import torch

from mamrl.envs import BatchedMatrixGame, batched
from mamrl.games import GAMES, MatrixGame, ipd, rock_paper_scissors
from mamrl.games.half_cheetah import AUTORESETS, BACKENDS, HalfCheetah
from mamrl.ops import matrix_game_rollout
from mamrl.ops.reference import TABULAR


def random_actions(env, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(count, (*shape, env.num_envs), generator=generator) for count in env.game.action_counts]
    return torch.stack(rows)


@pytest.mark.parametrize("name", GAMES)
def test_every_named_game_steps(name):
    env = batched(name, 5)
    observations, info = env.reset()
    assert observations.shape == (2, 5)
    assert not observations.any()
    assert info == {}
    actions = random_actions(env)
    step = env.step(actions)
    assert torch.equal(step.rewards, env.game.payoffs[:, *actions])
    assert torch.equal(step.observations[0], 1 + actions[0] * env.game.action_counts[1] + actions[1])
    assert torch.equal(step.observations[1], 1 + actions[1] * env.game.action_counts[0] + actions[0])
    assert not step.terminations.any()
    assert not step.truncations.any()


@pytest.mark.parametrize("autoreset", AUTORESETS)
@pytest.mark.parametrize("observation", ["state", "one-hot"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("copy", [True, False])
def test_play_is_many_steps(autoreset, observation, backend, copy):
    settings = {
        "autoreset": autoreset,
        "observation": observation,
        "backend": backend,
        "episode_length": 5,
        "copy": copy,
    }
    horizon = 5 if autoreset == "disabled" else 13
    one, many = (batched(rock_paper_scissors(3), 7, **settings) for _ in range(2))
    one.reset(), many.reset()
    actions = random_actions(one, horizon)
    if backend == "numpy":
        actions = actions.numpy()
    played = many.play(actions)
    for t in range(horizon):
        step = one.step(actions[:, t])
        np.testing.assert_array_equal(step.observations, played.observations[:, t])
        np.testing.assert_array_equal(step.rewards, played.rewards[:, t])
        np.testing.assert_array_equal(step.truncations, played.truncations[t])
        for key, value in step.info.items():
            np.testing.assert_array_equal(value, played.info[key][:, t])
    assert ("final_observations" in played.info) == (autoreset == "same-step")


def test_the_rollout_kernels_trajectories_come_out_again():
    game, keys = ipd(), torch.tensor([[3, 4]])
    tables = [torch.randn(1, 5, 2, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    states, actions, rewards = matrix_game_rollout(game.payoffs, tables, [TABULAR] * 2, keys, 6, 20)
    env = batched(game, 6)
    env.reset()
    step = env.play(actions[:, :, 0])
    assert torch.equal(step.observations[:, :-1], states[:, 1:, 0])
    assert torch.equal(step.rewards, rewards[:, :, 0])


def test_a_mask_resets_only_its_environments():
    env = batched("ipd", 3, episode_length=2, autoreset="disabled")
    env.reset()
    step = env.step(torch.ones(2, 3, dtype=torch.int64))
    observations, _ = env.reset(mask=torch.tensor([False, True, False]))
    assert observations.tolist() == [[4, 0, 4]] * 2
    assert step.observations.tolist() == [[4, 4, 4]] * 2
    assert env.step(torch.ones(2, 3, dtype=torch.int64)).truncations.tolist() == [True, False, True]
    with pytest.raises(ValueError, match="environment 0 has played 2 of the 2 steps"):
        env.step(torch.ones(2, 3, dtype=torch.int64))
    env.reset(mask=torch.tensor([True, False, True]))
    assert env.step(torch.ones(2, 3, dtype=torch.int64)).truncations.tolist() == [False, True, False]


def test_an_error_loses_nothing():
    env, other = (batched("ipd", 4, episode_length=3, copy=False) for _ in range(2))
    env.reset(), other.reset()
    good = random_actions(env)
    before = env.step(good).observations
    kept = before.clone()
    with pytest.raises(ValueError, match="actions holds 7"):
        env.step(torch.full((2, 4), 7))
    assert torch.equal(before, kept)
    other.step(good)
    for _ in range(4):
        a, b = env.step(good), other.step(good)
        assert torch.equal(a.observations, b.observations)
        assert torch.equal(a.truncations, b.truncations)


def test_two_sets_of_buffers_are_used_in_turn():
    env = batched("ipd", 4, copy=False, index_dtype="uint8", backend="numpy")
    env.reset()
    actions = [np.full((2, 4), a, np.uint8) for a in (0, 1, 0)]
    first = env.step(actions[0]).observations
    second = env.step(actions[1]).observations
    assert (first == 1).all()
    assert (second == 4).all()
    third = env.step(actions[2]).observations
    assert np.shares_memory(first, third)


def test_actions_may_come_one_agent_at_a_time():
    env = batched("ipd", 2, backend="numpy")
    env.reset()
    step = env.step([np.array([0, 1]), np.array([1, 1])])
    assert step.observations.tolist() == [[2, 4], [3, 4]]


def test_rewards_have_the_payoffs_dtype():
    env = batched(ipd().to(torch.float64), 2, observation="one-hot")
    observations, _ = env.reset()
    assert observations.dtype == torch.float64
    assert env.step(random_actions(env)).rewards.dtype == torch.float64


def test_payoffs_make_a_game():
    payoffs = np.arange(12.0).reshape(2, 2, 3)
    env = batched(payoffs, 2)
    env.reset()
    assert env.step(torch.tensor([[1, 0], [2, 1]])).rewards.tolist() == [[5.0, 1.0], [11.0, 7.0]]


def test_half_cheetah_is_its_own_batch():
    pytest.importorskip("mujoco")
    env = batched("half-cheetah", 2, factorization="6x1")
    assert isinstance(env, HalfCheetah)
    assert env.num_agents == 6
    env.close()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"game": "ipq"}, ValueError, "unknown game 'ipq' \\(did you mean 'ipd'"),
        ({"num_envs": 0}, ValueError, "num_envs is 0, expected at least 1"),
        ({"num_envs": 2.5}, TypeError, "num_envs is 2.5, expected an integer"),
        ({"episode_length": "long"}, TypeError, "episode_length is 'long', expected an integer"),
        ({"episode_length": -1}, ValueError, "episode_length is -1, expected 0"),
        ({"observation": "pixels"}, ValueError, "unknown observation 'pixels'"),
        ({"autoreset": "never"}, ValueError, "unknown autoreset 'never'"),
        ({"index_dtype": "int32"}, ValueError, "unknown index_dtype 'int32'"),
        ({"game": MatrixGame(torch.zeros(2, 16, 16)), "index_dtype": "uint8"}, ValueError, "the game has 257 states"),
        ({"backend": "numpy", "device": "cuda"}, ValueError, "device is cuda, expected 'cpu' with the numpy backend"),
        ({"game": [[1.0], [1.0]]}, ValueError, "payoffs have shape"),
        ({"episodes": 3}, TypeError, "episodes"),
    ],
)
def test_bad_settings_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        batched(**({"game": "ipd", "num_envs": 3} | settings))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="device is 'cuda', but torch sees no CUDA device"):
        batched("ipd", 3, device="cuda")


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        (torch.zeros(2, 3), TypeError, "actions is float32, expected int64"),
        (torch.zeros(2, 3, dtype=torch.int32), TypeError, "actions is int32, expected int64"),
        (torch.zeros(3, 2, dtype=torch.int64), ValueError, r"actions has shape \(3, 2\), expected \(2, 3\)"),
        ([torch.zeros(3, dtype=torch.int64)], ValueError, "got actions of 1 agents, expected 2"),
        ([[0, 1, 0], [0, 1, 0]], TypeError, "actions is list, expected an array or a tensor of int64"),
        (np.full((2, 3), np.nan), TypeError, "actions is float64, expected int64"),
        (np.full((2, 3), "C"), TypeError, "actions is an array of <U1, expected"),
        (torch.tensor([[0, 0, 0], [0, 0, -1]]), ValueError, "actions holds -1 for player 1 in environment 2"),
        (torch.zeros(2, 3, dtype=torch.int64, device="meta"), ValueError, "actions is on meta, expected cpu"),
    ],
)
def test_bad_actions_are_named(actions, error, message):
    env = batched("ipd", 3)
    env.reset()
    with pytest.raises(error, match=message):
        env.step(actions)


def test_use_before_reset_and_after_close_is_an_error():
    env = BatchedMatrixGame("ipd", 2)
    actions = torch.zeros(2, 2, dtype=torch.int64)
    with pytest.raises(RuntimeError, match=r"have not been reset, call reset\(\) before the first step"):
        env.step(actions)
    with pytest.raises(RuntimeError, match="have not been reset"):
        env.play(actions.unsqueeze(1))
    with pytest.raises(ValueError, match="mask leaves environments without a start"):
        env.reset(mask=torch.tensor([True, False]))
    env.reset()
    with pytest.raises(TypeError, match="mask is int64, expected bool"):
        env.reset(mask=torch.tensor([1, 0]))
    with pytest.raises(ValueError, match=r"mask has shape \(3,\), expected \(2,\)"):
        env.reset(mask=torch.tensor([True, False, True]))
    env.close()
    env.close()
    for use in (env.reset, lambda: env.step(actions)):
        with pytest.raises(RuntimeError, match="the environments are closed"):
            use()
