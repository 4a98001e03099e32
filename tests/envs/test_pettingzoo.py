import warnings

import numpy as np
import pytest

pytest.importorskip("pettingzoo")

from pettingzoo.test import parallel_api_test, parallel_seed_test

from mamrl.envs import parallel
from mamrl.games import GAMES, MatrixGame, ipd, rock_paper_scissors
from mamrl.games.half_cheetah import HalfCheetah

MATRIX_GAMES = [*GAMES, rock_paper_scissors(3), MatrixGame(np.arange(12.0).reshape(2, 2, 3), "lopsided")]
FACTORIZATIONS = ["1x6", "2x3", "6x1", [("bthigh", "ffoot"), ("bshin", "bfoot", "fthigh", "fshin")]]


def assert_passes_pettingzoos_tests(make, cycles):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make(), num_cycles=cycles)
        parallel_seed_test(make, num_cycles=cycles)


@pytest.mark.parametrize("game", MATRIX_GAMES, ids=str)
@pytest.mark.parametrize("observation", ["state", "one-hot"])
def test_matrix_games_pass_pettingzoos_tests(game, observation):
    # over the end of an episode, and within one
    assert_passes_pettingzoos_tests(lambda: parallel(game, observation=observation, episode_length=30), 50)


@pytest.mark.parametrize("factorization", FACTORIZATIONS, ids=str)
@pytest.mark.parametrize("neighbours", [None, 0, 1])
def test_half_cheetahs_pass_pettingzoos_tests(factorization, neighbours):
    pytest.importorskip("mujoco")
    settings = {"factorization": factorization, "neighbours": neighbours, "episode_length": 30}
    assert_passes_pettingzoos_tests(lambda: parallel("half-cheetah", **settings), 50)


def test_a_prisoners_dilemma_by_hand():
    env = parallel("ipd", episode_length=2)
    observations, infos = env.reset(seed=0)
    assert observations == {"player_0": 0, "player_1": 0}
    assert infos == {"player_0": {}, "player_1": {}}
    observations, rewards, terminations, truncations, _ = env.step({"player_0": 0, "player_1": 1})
    assert observations == {"player_0": 2, "player_1": 3}
    assert rewards == {"player_0": -1.5, "player_1": 1.5}
    assert not any(terminations.values())
    assert not any(truncations.values())
    truncations = env.step({"player_1": 1, "player_0": 1})[3]
    assert all(truncations.values())
    assert env.agents == []
    env.reset()
    assert env.agents == env.possible_agents


def test_each_agent_moves_its_own_joints_and_sees_its_own_columns():
    pytest.importorskip("mujoco")
    env = parallel("half-cheetah", factorization="2x3", neighbours=0)
    whole = HalfCheetah(1, factorization="2x3", neighbours=0)
    env.reset(seed=4), whole.reset(seed=4)
    actions = {"player_0": np.full(3, 0.5, np.float32), "player_1": np.full(3, -0.25, np.float32)}
    observations, rewards, _, _, infos = env.step(actions)
    step = whole.step(np.array([[0.5] * 3 + [-0.25] * 3]))
    for agent, expected in zip(env.agents, whole.agent_observations(step.observations), strict=True):
        np.testing.assert_array_equal(observations[agent], expected[0])
        assert rewards[agent] == step.rewards[0]
        assert infos[agent]["x_velocity"] == step.info["x_velocity"][0]


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        ({"player_0": 0}, ValueError, r"actions are of \['player_0'\], expected of \['player_0', 'player_1'\]"),
        ({"player_0": 0, "player_1": 0, "x": 1}, ValueError, "'x'"),
        ({"player_0": 0, "player_1": 2}, ValueError, "actions holds 2 for player 1"),
        ({"player_0": 0, "player_1": 0.5}, TypeError, "actions are float64, expected integers"),
        ({"player_0": 0, "player_1": [0]}, ValueError, r"player_1's action has shape \(1,\), expected \(\)"),
    ],
)
def test_bad_actions_are_named_and_lose_nothing(actions, error, message):
    env = parallel(ipd())
    env.reset()
    with pytest.raises(error, match=message):
        env.step(actions)
    assert env.step({"player_0": 1, "player_1": 1})[0] == {"player_0": 4, "player_1": 4}


def test_bad_continuous_actions_are_named():
    pytest.importorskip("mujoco")
    env = parallel("half-cheetah", factorization="2x3")
    env.reset(seed=0)
    good = np.zeros(3, np.float32)
    for bad, message in (
        (np.full(3, np.nan), "expected a finite number"),
        (np.zeros(2), r"shape \(2,\), expected \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step({"player_0": good, "player_1": bad})


def test_use_before_reset_after_the_end_and_after_close_is_an_error():
    env = parallel("ipd", episode_length=1)
    actions = {"player_0": 0, "player_1": 0}
    for _ in range(2):
        with pytest.raises(RuntimeError, match="there are no agents: the environment is to be reset"):
            env.step(actions)
        env.reset()
        env.step(actions)
    env.reset()
    env.close()
    env.close()
    with pytest.raises(RuntimeError, match="are closed"):
        env.step(actions)


@pytest.mark.parametrize(
    ("game", "settings", "error", "message"),
    [
        ("ipq", {}, ValueError, "unknown game 'ipq'"),
        ("ipd", {"num_envs": 3}, TypeError, "num_envs is a setting of mamrl.envs.batched"),
        ("ipd", {"autoreset": "same-step"}, TypeError, "autoreset is a setting of mamrl.envs.batched"),
        ("ipd", {"episodes": 3}, TypeError, "episodes"),
    ],
)
def test_bad_settings_are_named(game, settings, error, message):
    with pytest.raises(error, match=message):
        parallel(game, **settings)
