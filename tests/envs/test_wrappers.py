"""The stacks of wrappers that people use: around our environments they give what they give around Gymnasium's own."""

import copy

import numpy as np
import pytest
import torch

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")

from gymnasium import wrappers  # noqa: E402
from gymnasium.utils.env_checker import data_equivalence  # noqa: E402
from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402
from gymnasium.wrappers import vector as vector_wrappers  # noqa: E402
from pettingzoo.test import api_test  # noqa: E402
from pettingzoo.utils.conversions import aec_to_parallel, parallel_to_aec  # noqa: E402

from mamrl.envs import parallel  # noqa: E402

CHEETAH = "mamrl/HalfCheetahDir-v0"
LENGTH = 5
CASES = {
    "IPD": ("mamrl/IPD-v0", {"opponent": "random", "observation": "one-hot"}),
    "coin game": ("mamrl/CoinGame-v0", {"plane_dtype": "float32"}),
    "HalfCheetah": (CHEETAH, {}),
}
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED]


def need_mujoco(name):
    if "heetah" in name:
        pytest.importorskip("mujoco")


# from within to without, by the names of gymnasium.wrappers.vector
STACKS = {
    "statistics": ["RecordEpisodeStatistics"],
    "observations": ["RecordEpisodeStatistics", "NormalizeObservation"],
    "rewards": ["NormalizeReward"],
    "torch": ["RecordEpisodeStatistics", "NormalizeReward", "NumpyToTorch"],
}


def need_conversions():
    """What Gymnasium turns arrays into tensors by, which it does not bring along."""
    pytest.importorskip("array_api_compat")


def without_times(step):
    """Infos without the seconds that an episode took."""
    infos = step[-1]
    for told in (infos, infos.get("final_info", {})):
        if "episode" in told:
            told["episode"] = {key: value for key, value in told["episode"].items() if key not in ("t", "_t")}
    return step


def assert_alike(mine, theirs):
    if isinstance(mine, torch.Tensor):
        assert torch.equal(mine, theirs)
    elif isinstance(mine, dict):
        assert mine.keys() == theirs.keys()
        for key in mine:
            assert_alike(mine[key], theirs[key])
    elif isinstance(mine, tuple | list):
        for one, other in zip(mine, theirs, strict=True):
            assert_alike(one, other)
    else:
        assert data_equivalence(mine, theirs, exact=True)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(("env_id", "settings"), CASES.values(), ids=CASES)
def test_a_stack_around_a_vector_environment_equals_one_around_a_sync_vector_env(env_id, settings, stack, mode):
    need_mujoco(env_id)
    if stack == "torch":
        need_conversions()
    settings = settings | {"episode_length": LENGTH}
    ours = gymnasium.make_vec(env_id, num_envs=3, autoreset_mode=mode, **settings)
    theirs = SyncVectorEnv([lambda: gymnasium.make(env_id, **settings)] * 3, autoreset_mode=mode)
    assert_alike(walk(ours, STACKS[stack]), walk(theirs, STACKS[stack]))


def walk(env, stack):
    """What a stack gives; or, where one of its wrappers does not know the mode, by what error it says so."""
    mode = env.metadata["autoreset_mode"]
    steps = []
    try:
        for wrapper in stack:
            env = getattr(vector_wrappers, wrapper)(env)
        env.action_space.seed(0)
        steps.append(env.reset(seed=2))
        for t in range(13):
            actions = env.action_space.sample()
            step = env.step(torch.from_numpy(actions) if "NumpyToTorch" in stack else actions)
            # RecordEpisodeStatistics writes over the masks that it has given
            steps.append(copy.deepcopy(without_times(step)))
            if mode == AutoresetMode.DISABLED and t % LENGTH == LENGTH - 1:
                steps.append(env.reset(options={"reset_mask": np.ones(3, bool)}))
        return steps
    except (ValueError, BufferError) as error:
        refused = type(error)
    known = {"NormalizeObservation": ValueError, "NumpyToTorch": BufferError}
    assert mode != AutoresetMode.NEXT_STEP
    assert refused in [known.get(wrapper) for wrapper in stack]
    return [*steps, refused.__name__]


def test_rescaled_actions_reach_the_robot_in_its_own_range():
    pytest.importorskip("mujoco")
    plain = gymnasium.make_vec(CHEETAH, num_envs=2)
    scaled = vector_wrappers.RescaleAction(gymnasium.make_vec(CHEETAH, num_envs=2), 0.0, 10.0)
    plain.reset(seed=0), scaled.reset(seed=0)
    expected = plain.step(np.full((2, 6), 0.5, np.float32))
    np.testing.assert_array_equal(scaled.step(np.full((2, 6), 7.5, np.float32))[0], expected[0])


def test_a_stack_around_a_single_environment_gives_what_each_of_its_wrappers_says():
    need_conversions()
    plain = gymnasium.make("mamrl/IPD-v0", observation="one-hot", opponent="random")
    env = gymnasium.make("mamrl/IPD-v0", observation="one-hot", opponent="random", max_episode_steps=4)
    env = wrappers.FrameStackObservation(wrappers.RecordEpisodeStatistics(env), 3)
    env = wrappers.NumpyToTorch(env)
    seen = [plain.reset(seed=0)[0]]
    stacked, _ = env.reset(seed=0)
    rewards = []
    for t, action in enumerate([1, 0, 1, 0]):
        step = plain.step(action)
        seen.append(step[0]), rewards.append(step[1])
        stacked, reward, _, truncated, info = env.step(torch.tensor(action))
        expected = np.stack(([seen[0]] * 3 + seen[1:])[-3:])
        assert torch.equal(stacked, torch.from_numpy(expected))
        assert (float(reward), bool(truncated)) == (step[1], t == 3)
    assert (info["episode"]["l"], info["episode"]["r"]) == (4, pytest.approx(sum(rewards)))


def test_normalised_rewards_and_observations_of_a_single_environment():
    pytest.importorskip("mujoco")
    env = wrappers.RescaleAction(gymnasium.make(CHEETAH), np.float32(-2), np.float32(2))
    env = wrappers.NormalizeReward(wrappers.NormalizeObservation(env))
    env.reset(seed=0)
    env.action_space.seed(0)
    seen, rewards = zip(*[env.step(env.action_space.sample())[:2] for _ in range(200)], strict=True)
    assert np.abs(np.mean(seen[100:], 0)).max() < 3
    assert 0.3 < np.std(seen[100:]) < 3
    assert np.isfinite(rewards).all()


@pytest.mark.parametrize("game", ["ipd", "coin-game", "half-cheetah"])
def test_pettingzoos_conversions_change_nothing(game):
    need_mujoco(game)
    env, there_and_back = (
        parallel(game, episode_length=LENGTH),
        aec_to_parallel(parallel_to_aec(parallel(game, episode_length=LENGTH))),
    )
    assert_alike(env.reset(seed=3)[0], there_and_back.reset(seed=3)[0])
    for agent in env.agents:
        env.action_space(agent).seed(0)
    while env.agents:
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        assert_alike(env.step(actions)[:4], there_and_back.step(actions)[:4])
    assert there_and_back.agents == []


@pytest.mark.filterwarnings("ignore:Observation is not a NumPy array")
@pytest.mark.parametrize("game", ["ipd", "coin-game"])
def test_pettingzoos_test_of_turns_passes(game):
    api_test(parallel_to_aec(parallel(game, episode_length=20)), num_cycles=50)


@pytest.mark.parametrize("base", ["gymnasium", "stable_baselines3"])
@pytest.mark.parametrize("game", ["ipd", "coin-game", "half-cheetah"])
def test_supersuits_vector_environments_step_copies_of_ours(game, base):
    supersuit = pytest.importorskip("supersuit")
    need_mujoco(game)
    env = parallel(game, episode_length=LENGTH, **({"factorization": "2x3"} if "heetah" in game else {}))
    many = supersuit.concat_vec_envs_v1(supersuit.pettingzoo_env_to_vec_env_v1(env), 2, num_cpus=0, base_class=base)
    if base == "gymnasium":
        seen, _ = many.reset(seed=4)
    else:
        seen = many.reset()
    assert len(seen) == 4
    ours = [parallel(game, episode_length=LENGTH) for _ in range(2)]
    for own in ours:
        own.reset(seed=4)
    space = env.action_space("player_0")
    for _ in range(LENGTH - 1):
        actions = np.stack([space.sample() for _ in range(4)])
        rewards = many.step(actions)[1]
        assert np.isfinite(rewards).all()
        if game == "ipd":  # nothing in it is drawn
            steps = [own.step(dict(zip(own.agents, actions[2 * i :], strict=False))) for i, own in enumerate(ours)]
            np.testing.assert_allclose(rewards, np.concatenate([list(step[1].values()) for step in steps]), rtol=1e-6)
