"""Every vector environment is, step by step, Gymnasium's SyncVectorEnv of the single ones."""

import warnings

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")

from gymnasium.utils.env_checker import check_env, data_equivalence  # noqa: E402
from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402

import mamrl.envs  # noqa: E402
from mamrl.envs import LearningOpponent  # noqa: E402
from mamrl.games import GAMES, ipd, rock_paper_scissors  # noqa: E402

MATRIX_IDS = [f"mamrl/{name}-v0" for name in ("IPD", "RPS", "MatchingPennies", "StagHunt", "Chicken")]
CHEETAH = "mamrl/HalfCheetahDir-v0"
OPPONENTS = ["tit-for-tat", "random", "extortion", "personas"]


def need_mujoco(env_id):
    if env_id == CHEETAH:
        pytest.importorskip("mujoco")


def pair(env_id, num_envs, mode, **settings):
    """The vector environment and the SyncVectorEnv of as many single ones."""
    need_mujoco(env_id)
    vector = gymnasium.make_vec(env_id, num_envs=num_envs, autoreset_mode=mode, **settings)
    singles = [lambda: gymnasium.make(env_id, **settings) for _ in range(num_envs)]
    return vector, SyncVectorEnv(singles, autoreset_mode=mode)


def assert_alike(actual, expected):
    """Equal values, dtypes, keys and masks."""
    assert data_equivalence(actual, expected, exact=True), f"{actual}\n{expected}"


def assert_steps_alike(vector, sync, steps, seed=0, masks=()):
    """Walks both with the same actions; ``masks`` are the environments to reset after a step, by step."""
    actions = sync.action_space
    actions.seed(seed)
    for t in range(steps):
        action = actions.sample()
        assert_alike(vector.step(action), sync.step(action))
        if t in masks:
            assert_alike(*(env.reset(**masks[t]()) for env in (vector, sync)))


def no_infinity_warnings():
    """Gymnasium warns of the unbounded observations that its own HalfCheetah has too."""
    warnings.filterwarnings("ignore", message=".*infinity.*")


@pytest.mark.parametrize("env_id", [*MATRIX_IDS, CHEETAH])
def test_gymnasiums_checker_passes(env_id):
    need_mujoco(env_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        no_infinity_warnings()
        check_env(gymnasium.make(env_id, episode_length=7).unwrapped)


@pytest.mark.parametrize("opponent", [*OPPONENTS, "learning"])
@pytest.mark.parametrize("observation", ["state", "one-hot"])
def test_the_checker_passes_with_every_opponent(opponent, observation):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("mamrl/IPD-v0", opponent=opponent, observation=observation).unwrapped)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("env_id", [*MATRIX_IDS, CHEETAH])
def test_steps_equal_a_sync_vector_env(env_id, mode):
    vector, sync = pair(env_id, 3, mode, episode_length=4)
    assert vector.metadata["autoreset_mode"] is mode
    for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(vector, space) == getattr(sync, space)
    assert_alike(vector.reset(seed=5), sync.reset(seed=5))
    assert_steps_alike(vector, sync, 14)
    assert_alike(vector.reset(), sync.reset())
    assert_steps_alike(vector, sync, 6)
    assert_alike(vector.reset(seed=[4, 9, 0]), sync.reset(seed=[4, 9, 0]))
    assert_steps_alike(vector, sync, 6)


@pytest.mark.parametrize("opponent", [*OPPONENTS, LearningOpponent(episodes=2, lifetime=2)])
@pytest.mark.parametrize("observation", ["state", "one-hot"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_opponents_play_the_same_in_a_batch_and_alone(opponent, observation, mode):
    settings = {"opponent": opponent, "observation": observation, "episode_length": 5}
    vector, sync = pair("mamrl/IPD-v0", 4, mode, **settings)
    assert_alike(vector.reset(seed=11), sync.reset(seed=11))
    assert_steps_alike(vector, sync, 47)


def some(*chosen):
    """Options that reset the chosen of three environments, made anew since SyncVectorEnv takes them apart."""
    return lambda: {"options": {"reset_mask": np.isin(np.arange(3), chosen)}}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(
    ("env_id", "settings"),
    [
        ("mamrl/IPD-v0", {"opponent": "personas"}),
        ("mamrl/IPD-v0", {"opponent": LearningOpponent(episodes=2)}),
        ("mamrl/RPS-v0", {}),
        (CHEETAH, {"direction": "random"}),
    ],
)
def test_reset_masks_equal_a_sync_vector_envs(env_id, settings, mode):
    vector, sync = pair(env_id, 3, mode, episode_length=4, **settings)
    assert_alike(vector.reset(seed=1), sync.reset(seed=1))
    # in the middle of an episode, at its end (where next-step waits), with a new seed, and when episodes differ
    masks = {
        1: some(0),
        5: some(0, 2),
        7: lambda: {"seed": 7, **some(1)()},
        8: some(1, 2),
        9: some(0, 1, 2),
        13: lambda: {"seed": [1, None, 3], **some(0, 2)()},
    }
    assert_steps_alike(vector, sync, 30, masks=masks)


@pytest.mark.parametrize("env_id", ["mamrl/IPD-v0", CHEETAH])
def test_without_autoreset_ended_environments_wait_for_a_reset(env_id):
    vector, sync = pair(env_id, 3, AutoresetMode.DISABLED, episode_length=3)
    assert_alike(vector.reset(seed=1), sync.reset(seed=1))
    assert_steps_alike(vector, sync, 3, masks={0: some(1)})
    with pytest.raises((ValueError, RuntimeError), match="episode"):
        vector.step(vector.action_space.sample())
    assert_alike(vector.reset(**some(0, 2)()), sync.reset(**some(0, 2)()))
    assert_steps_alike(vector, sync, 1)


@pytest.mark.parametrize("env_id", ["mamrl/RPS-v0", CHEETAH])
def test_the_same_seed_gives_the_same_and_another_another(env_id):
    need_mujoco(env_id)
    # rock-paper-scissors cannot show an opponent's draws before it has played
    runs = []
    for seed in (3, 3, 4):
        env = gymnasium.make_vec(env_id, num_envs=2)
        env.action_space.seed(0)
        env.reset(seed=seed)
        runs.append([env.step(env.action_space.sample())[0] for _ in range(20)])
    assert_alike(runs[0], runs[1])
    assert not data_equivalence(runs[0], runs[2])


def test_without_a_seed_environments_start_differently():
    def steps():
        env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=40, opponent="random")
        env.reset()
        return env.step(np.zeros(40, int))[0]

    assert not np.array_equal(steps(), steps())


def test_tit_for_tat_by_hand():
    env = gymnasium.make("mamrl/IPD-v0", episode_length=4)
    assert env.reset(seed=0) == (0, {})
    # it cooperates, then answers a defection with a defection
    seen = [env.step(action) for action in (1, 1, 0, 0)]
    assert [step[0] for step in seen] == [3, 4, 2, 1]
    assert [step[1] for step in seen] == [1.5, -0.5, -1.5, 0.5]
    assert [step[3] for step in seen] == [False, False, False, True]
    assert [float(step[4]["opponent_rewards"][0]) for step in seen] == [-1.5, -0.5, 1.5, 0.5]


def test_any_payoffs_make_an_environment():
    payoffs = np.arange(8.0).reshape(2, 2, 2)
    env = gymnasium.make_vec("mamrl/MatrixGame-v0", num_envs=2, payoffs=payoffs, opponent="always-defect")
    env.reset(seed=0)
    assert env.step(np.array([0, 1]))[1].tolist() == [1.0, 3.0]
    three = gymnasium.make("mamrl/MatrixGame-v0", game=rock_paper_scissors(3), opponent=["random", always_rock])
    three.reset(seed=0)
    _, _, _, _, info = three.step(1)
    assert info["opponent_rewards"].shape == (2,)


def always_rock(states):
    return np.zeros_like(states)


@pytest.mark.parametrize("name", GAMES)
def test_every_game_has_an_id(name):
    assert any(spec.kwargs.get("game") == name for key, spec in gymnasium.registry.items() if key.startswith("mamrl/"))


def test_copy_false_hands_out_memory_that_is_written_again():
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=3, copy=False, opponent="always-cooperate")
    env.reset(seed=0)
    first = env.step(np.zeros(3, int))[1]
    env.step(np.ones(3, int))
    third = env.step(np.zeros(3, int))[1]
    assert np.shares_memory(first, third)
    safe = gymnasium.make_vec("mamrl/IPD-v0", num_envs=3, opponent="always-cooperate")
    safe.reset(seed=0)
    kept = safe.step(np.zeros(3, int))[0]
    for _ in range(3):
        safe.step(np.ones(3, int))
    assert kept.tolist() == [1, 1, 1]


def test_cheetah_runs_in_its_direction():
    need_mujoco(CHEETAH)
    settings = {"num_envs": 2, "episode_length": 10}
    env = gymnasium.make_vec(CHEETAH, direction=[1, -1], **settings)
    env.reset(seed=[3, 3])
    _, rewards, _, _, infos = env.step(np.zeros((2, 6), np.float32))
    assert infos["direction"].tolist() == [1, -1]
    assert infos["x_velocity"][0] == infos["x_velocity"][1]
    np.testing.assert_array_equal(rewards, infos["direction"] * infos["x_velocity"])
    drawn = gymnasium.make_vec(CHEETAH, direction="random", num_envs=64)
    _, infos = drawn.reset(seed=0)
    assert 16 < (infos["direction"] == 1).sum() < 48


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        (np.zeros(3), TypeError, "actions are float64, expected integers"),
        (np.full(3, np.nan), TypeError, "actions are float64, expected integers"),
        (np.zeros(3, bool), TypeError, "actions are bool, expected integers"),
        (np.zeros(2, int), ValueError, r"actions have shape \(2,\), expected \(3,\)"),
        (np.array([0, 2, 0]), ValueError, "actions holds 2 in environment 1, expected at least 0 and below 2"),
        (np.array([0, 0, -1]), ValueError, "actions holds -1 in environment 2"),
    ],
)
def test_bad_actions_are_named_and_lose_nothing(actions, error, message):
    settings = {"num_envs": 3, "opponent": "random", "episode_length": 3}
    env, other = (gymnasium.make_vec("mamrl/IPD-v0", **settings) for _ in range(2))
    env.reset(seed=0), other.reset(seed=0)
    for _ in range(5):
        with pytest.raises(error, match=message):
            env.step(actions)
        assert_alike(env.step(np.zeros(3, int)), other.step(np.zeros(3, int)))


@pytest.mark.parametrize(
    ("actions", "error", "message"),
    [
        (np.full((2, 6), np.nan), ValueError, r"actions\[0, 0\] is -?nan, expected a finite number"),
        (np.full((2, 6), np.inf), ValueError, "is inf, expected a finite number"),
        (np.zeros((2, 5)), ValueError, r"actions have shape \(2, 5\), expected \(2, 6\)"),
        (np.zeros((2, 6), int), TypeError, "actions have dtype int64, expected float32 or float64"),
    ],
)
def test_bad_continuous_actions_are_named(actions, error, message):
    need_mujoco(CHEETAH)
    env = gymnasium.make_vec(CHEETAH, num_envs=2)
    env.reset(seed=0)
    with pytest.raises(error, match=message):
        env.step(actions)


@pytest.mark.parametrize(
    ("env_id", "action", "shapes"),
    [("mamrl/IPD-v0", [0, 1], r"\(2,\), expected \(\)"), (CHEETAH, 0.5, r"\(\), expected \(6,\)")],
)
def test_an_action_of_a_single_environment_is_not_told_of_batches(env_id, action, shapes):
    need_mujoco(env_id)
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"action has shape {shapes}"):
        env.step(action)


@pytest.mark.parametrize("env_id", ["mamrl/IPD-v0", CHEETAH])
def test_use_before_reset_and_after_close_is_an_error(env_id):
    need_mujoco(env_id)
    env = gymnasium.make_vec(env_id, num_envs=2)
    action = env.action_space.sample()
    with pytest.raises(RuntimeError, match=r"have not been reset, call reset\(\) before the first step"):
        env.step(action)
    with pytest.raises(ValueError, match="leaves environments without a start"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    env.close()
    env.close()
    for use in (env.reset, lambda: env.step(action)):
        with pytest.raises(RuntimeError, match="the environments are closed"):
            use()
    single = gymnasium.make(env_id).unwrapped
    with pytest.raises(RuntimeError, match="have not been reset"):
        single.step(single.action_space.sample())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"options": {"reset_mask": [True, False]}}, TypeError, "is list, expected a NumPy array of bool"),
        (
            {"options": {"reset_mask": np.array([1, 0])}},
            TypeError,
            "is an array of int64, expected a NumPy array of bool",
        ),
        ({"options": {"reset_mask": np.array([True])}}, ValueError, r"has shape \(1,\), expected \(2,\)"),
        ({"options": {"reset_mask": np.array([False] * 2)}}, ValueError, "chooses no environment"),
        ({"options": [True]}, TypeError, "options is list, expected a dict, such as {'reset_mask': mask}"),
        ({"seed": 1.5}, TypeError, "seed is float, expected an integer, or a list of one for each environment"),
        ({"seed": [1, 2, 3]}, ValueError, "got 3 seeds, expected one, or 2"),
        ({"seed": [1, "2"]}, TypeError, "seed 1 is str, expected an integer"),
        ({"seed": [1, -2]}, ValueError, "seed 1 is -2, expected 0 to"),
    ],
)
def test_bad_resets_are_named(arguments, error, message):
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=2)
    env.reset(seed=0)
    with pytest.raises(error, match=message):
        env.reset(**arguments)


@pytest.mark.parametrize(
    ("env_id", "settings", "error", "message"),
    [
        (
            "IPD",
            {"opponent": "tit-for-two"},
            ValueError,
            "unknown opponent 'tit-for-two' \\(did you mean 'tit-for-tat'",
        ),
        ("IPD", {"observation": "pixels"}, ValueError, "unknown observation 'pixels'"),
        ("IPD", {"autoreset_mode": "Never"}, ValueError, "unknown autoreset_mode 'Never'"),
        ("IPD", {"num_envs": 0}, ValueError, "num_envs is 0"),
        ("RPS", {"opponent": "grim"}, ValueError, "'grim' is for two players with two actions each"),
        ("MatrixGame", {}, TypeError, "expected either game or payoffs"),
        ("MatrixGame", {"payoffs": np.zeros((2, 2))}, ValueError, "payoffs have shape"),
    ],
)
def test_bad_settings_are_named(env_id, settings, error, message):
    with pytest.raises(error, match=message):
        gymnasium.make_vec(f"mamrl/{env_id}-v0", **({"num_envs": 2} | settings))


def test_info_of_a_batch_is_the_games_own():
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=500, opponent="random")
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(2, size=500)
    states, rewards, _, _, infos = env.step(actions)
    theirs = (states - 1) % 2
    payoffs = ipd().payoffs
    np.testing.assert_array_equal(rewards, payoffs[0][actions, theirs])
    np.testing.assert_array_equal(infos["opponent_rewards"][:, 0], payoffs[1][actions, theirs])
    assert infos["_opponent_rewards"].all()
    assert mamrl.envs.MatrixGameVectorEnv is type(env)
