"""A copy of an environment steps on as the original does, and the two share nothing."""

import copy
import functools
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")

from gymnasium.utils.env_checker import data_equivalence  # noqa: E402

from mamrl.envs import LearningOpponent, batched, parallel  # noqa: E402
from mamrl.games import rock_paper_scissors  # noqa: E402


def pickled(env):
    return pickle.loads(pickle.dumps(env))


COPIES = pytest.mark.parametrize("copied", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
# before the first reset, after it, after one step, and at an episode's end
STEPS = pytest.mark.parametrize("steps", [None, 0, 1, 5])
LENGTH = 5
NUM_ENVS = 3


def whoever(states):
    """An opponent that is a function, of a module so that it can be pickled."""
    return states % 2


OPPONENTS = {
    "tit-for-tat": "tit-for-tat",
    "random": "random",
    "personas": "personas",
    "learning": LearningOpponent(episodes=1, lifetime=2),
    "function": whoever,
    "table": np.full((5, 2), 0.5),
}
GYMNASIUM = {
    **{f"IPD, {name}": ("mamrl/IPD-v0", {"opponent": opponent}) for name, opponent in OPPONENTS.items()},
    "three players": ("mamrl/MatrixGame-v0", {"game": rock_paper_scissors(3), "opponent": ["random", "personas"]}),
    "one-hot": ("mamrl/IPD-v0", {"observation": "one-hot"}),
    "coin game": ("mamrl/CoinGame-v0", {"opponent": "cooperate"}),
    "HalfCheetah": ("mamrl/HalfCheetahDir-v0", {"direction": "random"}),
}
CASES = pytest.mark.parametrize(("env_id", "settings"), GYMNASIUM.values(), ids=GYMNASIUM)


def need_mujoco(name):
    if "heetah" in name:
        pytest.importorskip("mujoco")


def assert_copies(env, copied, steps, act, reset):
    """The claim of this file, for whatever is stepped by ``act(env, random)``."""
    random = np.random.default_rng(0)
    if steps is not None:
        reset(env)
        for _ in range(steps):
            act(env, random)
    other = copied(env)
    if steps is None:
        assert data_equivalence(reset(env), reset(other), exact=True)
    # one walks ahead, and the other finds nothing of it
    walks = []
    for which in (env, other):
        random = np.random.default_rng(1)
        walks.append([copy.deepcopy(act(which, random)) for _ in range(2 * LENGTH)])
    assert data_equivalence(walks[0], walks[1], exact=True)


@COPIES
@STEPS
@CASES
@pytest.mark.parametrize(("mode", "own"), [("NextStep", True), ("SameStep", False)])
def test_a_copied_vector_environment_steps_on(copied, steps, env_id, settings, mode, own):
    need_mujoco(env_id)
    chosen = {"num_envs": NUM_ENVS, "episode_length": LENGTH, "autoreset_mode": mode, "copy": own, **settings}
    env = gymnasium.make_vec(env_id, **chosen)

    def act(env, random):
        space = env.single_action_space
        given = random.integers(space.n, size=NUM_ENVS) if hasattr(space, "n") else random.uniform(-1, 1, (NUM_ENVS, 6))
        return env.step(given)

    assert_copies(env, copied, steps, act, lambda env: env.reset(seed=4))


@COPIES
@STEPS
@CASES
def test_a_copied_single_environment_steps_on(copied, steps, env_id, settings):
    need_mujoco(env_id)
    env = gymnasium.make(env_id, episode_length=LENGTH, **settings)

    def act(env, random):
        action = random.integers(env.action_space.n) if hasattr(env.action_space, "n") else random.uniform(-1, 1, 6)
        step = env.step(action)
        return (*step, env.reset()) if step[3] else step

    assert_copies(env, copied, steps, act, lambda env: env.reset(seed=4))


@COPIES
@STEPS
@pytest.mark.parametrize("game", ["ipd", "rps", "coin-game", "half-cheetah"])
@pytest.mark.parametrize(("backend", "own"), [("torch", True), ("numpy", False)])
def test_a_copied_batch_steps_on(copied, steps, game, own, backend):
    need_mujoco(game)
    env = batched(game, NUM_ENVS, episode_length=LENGTH, copy=own, backend=backend)

    def act(env, random):
        shape = (NUM_ENVS, 6) if game == "half-cheetah" else (2, NUM_ENVS)
        given = random.uniform(-1, 1, shape) if game == "half-cheetah" else random.integers(2, size=shape)
        step = env.step(torch.from_numpy(given) if backend == "torch" else given)
        return [np.asarray(values) for values in step[:4]]

    assert_copies(env, copied, steps, act, lambda env: np.asarray(env.reset(seed=4)[0]))


@COPIES
@STEPS
@pytest.mark.parametrize("game", ["ipd", "coin-game", "half-cheetah"])
def test_a_copied_parallel_environment_steps_on(copied, steps, game):
    need_mujoco(game)
    env = parallel(game, episode_length=LENGTH)

    def act(env, random):
        spaces = [env.action_space(agent) for agent in env.possible_agents]
        given = [random.integers(s.n) if hasattr(s, "n") else random.uniform(-1, 1, s.shape) for s in spaces]
        step = env.step(dict(zip(env.possible_agents, given, strict=True)))
        return step if env.agents else (*step, env.reset())

    assert_copies(env, copied, steps, act, lambda env: env.reset(seed=4))


@pytest.mark.parametrize("game", ["ipd", "coin-game", "half-cheetah"])
def test_a_shallow_copy_is_a_deep_one(game):
    need_mujoco(game)
    env = parallel(game)
    env.reset(seed=0)
    other = copy.copy(env)
    actions = {agent: env.action_space(agent).sample() for agent in env.agents}
    # the copy, having stepped, leaves its original where it was
    expected = other.step(actions)
    assert data_equivalence(env.step(actions), expected, exact=True)
    assert data_equivalence(copy.copy(env._batch).reset(seed=1), env._batch.reset(seed=1), exact=True)


@pytest.mark.parametrize("env_id", ["mamrl/IPD-v0", "mamrl/CoinGame-v0", "mamrl/HalfCheetahDir-v0"])
def test_a_copy_draws_actions_as_its_original(env_id):
    need_mujoco(env_id)
    env = gymnasium.make_vec(env_id, num_envs=NUM_ENVS)
    env.action_space.seed(3)
    other = copy.deepcopy(env)
    assert data_equivalence(env.action_space.sample(), other.action_space.sample(), exact=True)


@pytest.mark.parametrize("env_id", ["mamrl/IPD-v0", "mamrl/CoinGame-v0", "mamrl/HalfCheetahDir-v0"])
def test_a_copy_of_a_closed_environment_is_closed_and_its_closing_is_its_own(env_id):
    need_mujoco(env_id)
    env = gymnasium.make_vec(env_id, num_envs=NUM_ENVS)
    env.reset(seed=0)
    before = copy.deepcopy(env)
    env.close()
    with pytest.raises(RuntimeError, match="the environments are closed"):
        copy.deepcopy(env).reset()
    before.step(before.action_space.sample())


def test_a_pickled_half_cheetah_is_read_by_a_process_that_has_loaded_nothing(tmp_path):
    pytest.importorskip("mujoco")
    env = batched("half-cheetah", 2)
    env.reset(seed=0)
    (tmp_path / "env").write_bytes(pickle.dumps(env))
    code = "import pickle, sys, numpy as np; env = pickle.load(open(sys.argv[1], 'rb'))\n"
    code += "sys.stdout.write(env.step(np.zeros((2, 6))).observations.tobytes().hex())"
    read = subprocess.run([sys.executable, "-c", code, tmp_path / "env"], capture_output=True, text=True, check=True)
    assert read.stdout == env.step(np.zeros((2, 6))).observations.tobytes().hex()


@pytest.mark.parametrize("game", ["IPD", "CoinGame", "HalfCheetahDir"])
def test_a_second_thread_is_told(game):
    need_mujoco(game)
    env = gymnasium.make_vec(f"mamrl/{game}-v0", num_envs=500)
    env.reset(seed=0)
    action = env.action_space.sample()
    refused = []

    def use():
        for _ in range(30):
            try:
                env.step(action)
            except RuntimeError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # whoever met nobody was right to go on; nobody got anything but this sentence
    assert set(refused) <= {"the environments are in use by another thread"}
    env.step(action)


def test_a_thread_that_comes_while_another_steps_is_told():
    asked, answered = threading.Event(), threading.Event()

    def slow(states):
        asked.set()
        assert answered.wait(10)
        return 0 * states

    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=2, opponent=slow)
    env.reset(seed=0)
    stepping = threading.Thread(target=functools.partial(env.step, np.zeros(2, int)))
    stepping.start()
    assert asked.wait(10)
    for use in (lambda: env.step(np.zeros(2, int)), env.reset):
        with pytest.raises(RuntimeError, match=r"^the environments are in use by another thread$"):
            use()
    copied = copy.deepcopy(env)
    answered.set()
    stepping.join()
    copied.reset(seed=0)
