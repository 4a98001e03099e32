"""The adapter is, step by step, Stable-Baselines3's own DummyVecEnv of the same single environments."""

import copy
import pickle

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("stable_baselines3")

from stable_baselines3 import DQN  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize  # noqa: E402

from mamrl.envs import StableBaselinesVecEnv  # noqa: E402

CASES = {
    "IPD": ("mamrl/IPD-v0", {"opponent": "random"}, ("opponent_rewards",)),
    "IPD, one-hot": ("mamrl/IPD-v0", {"opponent": "learning", "observation": "one-hot"}, ()),
    "coin game": ("mamrl/CoinGame-v0", {}, ("opponent_rewards",)),
    "HalfCheetah": ("mamrl/HalfCheetahDir-v0", {"direction": "random"}, ("direction", "x_position")),
}


def adapted(env_id="mamrl/IPD-v0", num_envs=3, infos=(), **settings):
    return StableBaselinesVecEnv(
        gymnasium.make_vec(env_id, num_envs=num_envs, autoreset_mode="SameStep", **settings), infos
    )


def assert_infos_alike(ours, theirs, names):
    # theirs has more, and says of every step that no time was up
    assert ours.get("TimeLimit.truncated", False) == theirs["TimeLimit.truncated"]
    assert set(ours) >= set(names) & set(theirs)
    for name in set(ours) - {"TimeLimit.truncated"}:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert ("terminal_observation" in ours) == ("terminal_observation" in theirs)


@pytest.mark.parametrize(("env_id", "settings", "names"), CASES.values(), ids=CASES)
def test_steps_equal_a_dummy_vec_envs(env_id, settings, names):
    if "Cheetah" in env_id:
        pytest.importorskip("mujoco")
    settings = settings | {"episode_length": 5}
    ours = adapted(env_id, infos=names, **settings)
    theirs = DummyVecEnv([lambda: gymnasium.make(env_id, **settings)] * 3)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    theirs.action_space.seed(0)
    assert ours.seed(7) == theirs.seed(7)
    ended = 0
    for round_ in range(2):
        seen, expected = ours.reset(), theirs.reset()
        np.testing.assert_array_equal(seen, expected)
        assert seen.dtype == expected.dtype
        for _ in range(13):
            actions = np.stack([theirs.action_space.sample() for _ in range(3)])
            for mine, other in zip(ours.step(actions)[:3], (step := theirs.step(actions))[:3], strict=True):
                np.testing.assert_array_equal(mine, other)
                assert mine.dtype == other.dtype
            ended += step[2].sum()
        assert round_ or ended == 6
    ours.close(), theirs.close()


@pytest.mark.parametrize(("env_id", "settings", "names"), CASES.values(), ids=CASES)
def test_infos_equal_a_dummy_vec_envs(env_id, settings, names):
    if "Cheetah" in env_id:
        pytest.importorskip("mujoco")
    settings = settings | {"episode_length": 3}
    ours = adapted(env_id, infos=names, **settings)
    theirs = DummyVecEnv([lambda: gymnasium.make(env_id, **settings)] * 3)
    theirs.action_space.seed(0)
    ours.seed(2), theirs.seed(2)
    ours.reset(), theirs.reset()
    for _ in range(7):
        actions = np.stack([theirs.action_space.sample() for _ in range(3)])
        for mine, other in zip(ours.step(actions)[3], theirs.step(actions)[3], strict=True):
            assert_infos_alike(mine, other, names)


def test_stable_baselines_own_wrappers_go_around_it():
    env = VecFrameStack(VecNormalize(VecMonitor(adapted(observation="one-hot", episode_length=4))), 2)
    env.seed(0)
    assert env.reset().shape == (3, 10)
    for _ in range(4):
        observations, _, dones, infos = env.step(np.zeros(3, int))
    assert dones.all()
    assert observations.shape == (3, 10)
    assert [info["episode"]["l"] for info in infos] == [4, 4, 4]
    assert [info["episode"]["r"] for info in infos] == pytest.approx([2.0] * 3)


def test_an_off_policy_learner_trains_on_it():
    agent = DQN("MlpPolicy", adapted(num_envs=4, episode_length=5), learning_starts=8, buffer_size=200, seed=0)
    agent.learn(80)
    # what ended by its time is bootstrapped from: the buffer keeps it apart
    assert agent.replay_buffer.timeouts[:20].sum() == agent.replay_buffer.dones[:20].sum() == 4 * 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_steps_on(copied):
    env = adapted(opponent="random")
    env.seed(0)
    env.reset()
    env.step(np.zeros(3, int))
    other = copied(env)
    one, two = ([each.step(np.zeros(3, int))[1] for _ in range(9)] for each in (env, other))
    np.testing.assert_array_equal(one, two)


def test_it_draws():
    env = adapted(render_mode="rgb_array")
    env.reset()
    assert env.render().shape == (2 * 96, 2 * 96, 3)
    assert len(env.get_images()) == 3
    assert adapted().get_images() == [None] * 3


def test_attributes_are_the_batchs():
    env = adapted()
    assert env.get_attr("num_envs", [0, 2]) == [3, 3]
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False] * 3
    env.set_attr("copy", False)
    assert env.get_attr("copy") == [False] * 3
    with pytest.raises(ValueError, match=r"indices are \[0\], expected None"):
        env.set_attr("copy", True, [0])
    with pytest.raises(NotImplementedError, match=r"env_method\('reset'\) asks for single environments"):
        env.env_method("reset")
    with pytest.raises(AttributeError):
        env.get_attr("nothing")


def test_wrong_environments_and_options_are_named():
    with pytest.raises(TypeError, match=r"envs is \w+, expected a vector environment, of gymnasium.make_vec"):
        StableBaselinesVecEnv(gymnasium.make("mamrl/IPD-v0"))
    with pytest.raises(ValueError, match=r"autoreset_mode is .*NEXT_STEP.*, expected 'SameStep'"):
        StableBaselinesVecEnv(gymnasium.make_vec("mamrl/IPD-v0", num_envs=2))
    env = adapted()
    env.set_options({"level": 3})
    with pytest.raises(ValueError, match="expected none: the environments have no options"):
        env.reset()
