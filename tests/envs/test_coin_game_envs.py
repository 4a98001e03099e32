import warnings

import numpy as np
import pytest
import torch

from mamrl.envs import batched
from mamrl.envs.coin_game import BatchedCoinGame
from mamrl.games.coin_game import VARIANTS, coin_game
from mamrl.games.coin_game_exact import coin_game_values
from mamrl.games.coin_game_twin import observe

AUTORESETS = ("next-step", "same-step", "disabled")


def random_actions(env, horizon=None, seed=0):
    shape = (2, env.num_envs) if horizon is None else (2, horizon, env.num_envs)
    return torch.randint(env.game.num_actions, shape, generator=torch.Generator().manual_seed(seed))


def assert_same_steps(one, other):
    for mine, theirs in zip(one[:4], other[:4], strict=True):
        assert torch.equal(mine, theirs)


# ---- all environments in one call -------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_and_dtypes(variant):
    env = batched("coin-game", 5, variant=variant, grid=(4, 3), observation="planes", episode_length=6)
    observations, info = env.reset(seed=0)
    assert (observations.shape, observations.dtype, info) == ((2, 5, 4, 4, 3), torch.float32, {})
    step = env.step(random_actions(env))
    assert step.observations.shape == (2, 5, 4, 4, 3)
    assert (step.rewards.shape, step.rewards.dtype) == ((2, 5), torch.float32)
    assert step.terminations.shape == step.truncations.shape == (5,)
    episode = env.play(random_actions(env, 9).byte())
    assert episode.observations.shape == (2, 9, 5, 4, 4, 3)
    assert episode.truncations.sum(0).tolist() == [1] * 5


@pytest.mark.parametrize("autoreset", ["next-step", "same-step"])
@pytest.mark.parametrize("copy", [True, False])
def test_many_steps_in_one_call_are_many_calls(autoreset, copy):
    settings = {"variant": "loqa", "observation": "positions", "episode_length": 4, "autoreset": autoreset}
    together, apart = batched("coin-game", 7, **settings), batched("coin-game", 7, copy=copy, **settings)
    assert torch.equal(together.reset(seed=3)[0], apart.reset(seed=3)[0])
    actions = random_actions(together, 11)
    played = together.play(actions)
    for t in range(11):
        step = apart.step(actions[:, t])
        assert torch.equal(step.observations, played.observations[:, t])
        assert torch.equal(step.rewards, played.rewards[:, t])
        assert torch.equal(step.truncations, played.truncations[t])
        if autoreset == "same-step":
            assert torch.equal(step.info["final_observations"], played.info["final_observations"][:, t])


def test_an_environment_depends_on_its_own_seed_alone():
    batch = batched("coin-game", 6, variant="mfos", episode_length=5)
    batch.reset(seed=10)
    actions = random_actions(batch, 23)
    played = batch.play(actions)
    for i in (0, 5):
        alone = batched("coin-game", 1, variant="mfos", episode_length=5)
        alone.reset(seed=10 + i)
        assert torch.equal(alone.play(actions[..., i : i + 1]).observations[:, :, 0], played.observations[:, :, i])


def test_a_mask_resets_some_and_leaves_the_others():
    env = batched("coin-game", 6, episode_length=50, observation="positions")
    env.reset(seed=1)
    env.play(random_actions(env, 5))
    state, mask = env.state.clone(), torch.tensor([True, False] * 3)
    observations, _ = env.reset(mask=mask)
    assert torch.equal(env.state[~mask], state[~mask])
    assert env.elapsed.tolist() == [0, 5] * 3
    assert torch.equal(observations, observe(env.game, env.state, "positions"))
    # a start of its own, not the last one again
    seeds_before, begun = env.seeds.clone(), env.state.clone()
    env.reset()
    assert torch.equal(env.seeds, seeds_before)
    assert not torch.equal(env.state, begun)


def test_seeds_are_given_one_for_all_or_one_each():
    one, each = (batched("coin-game", 3) for _ in range(2))
    assert torch.equal(one.reset(seed=4)[0], each.reset(seed=[4, 5, 6])[0])
    unseeded = [batched("coin-game", 64).reset()[0] for _ in range(2)]
    assert not torch.equal(*unseeded)


def test_numpy_comes_and_goes():
    env = batched("coin-game", 4, backend="numpy", observation="positions", autoreset="same-step", episode_length=2)
    observations, _ = env.reset(seed=np.int64(0))
    assert isinstance(observations, np.ndarray)
    for _ in range(3):
        step = env.step(np.zeros((2, 4), np.int64))
    assert all(isinstance(x, np.ndarray) for x in (*step[:4], step.info["final_observations"]))
    assert isinstance(env.step([np.zeros(4, np.int64), np.ones(4, np.int64)]).rewards, np.ndarray)


@pytest.mark.parametrize("autoreset", AUTORESETS)
def test_where_there_is_no_kernel_torch_computes_the_same(autoreset):
    settings = {"variant": "loqa", "episode_length": 20, "autoreset": autoreset}
    kernel, fallback = (batched("coin-game", 9, **settings) for _ in range(2))
    for env in (kernel, fallback):
        env.reset(seed=0)
    fallback.device = torch.device("meta")  # any but the CPU
    fallback._tensor = lambda name, values, *_: values
    horizon = 20 if autoreset == "disabled" else 50
    assert_same_steps(kernel.play(random_actions(kernel, horizon)), fallback.play(random_actions(kernel, horizon)))
    with pytest.raises(ValueError, match="actions holds one out of range, expected at least 0 and below 4"):
        fallback.step(random_actions(kernel) + 4)
    if autoreset == "disabled":
        with pytest.raises(ValueError, match="an episode has had 20 steps, expected at most 19"):
            fallback.step(random_actions(kernel))


def test_rules_may_be_given_or_changed():
    assert batched(coin_game("pola", grid=4), 2).game == coin_game("pola", grid=4)
    assert batched("coin-game", 2, variant=coin_game("pola"), tie="first").game == coin_game("pola", tie="first")


def test_a_closed_or_unstarted_environment_is_an_error():
    env = batched("coin-game", 2)
    with pytest.raises(RuntimeError, match="have not been reset"):
        env.step(torch.zeros(2, 2).long())
    env.close()
    with pytest.raises(RuntimeError, match="the environments are closed"):
        env.reset()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"num_envs": 0}, ValueError, "num_envs is 0, expected at least 1"),
        ({"num_envs": 2.5}, TypeError, "num_envs is 2.5, expected an integer"),
        ({"episode_length": -1}, ValueError, r"episode_length is -1, expected 0 \(never\)"),
        ({"variant": "lolla"}, ValueError, r"unknown variant 'lolla' \(did you mean 'lola'\?\)"),
        ({"grid": 1}, ValueError, "grid is 1 x 1, expected sides of 2 to 16"),
        ({"observation": "state"}, ValueError, "unknown observation 'state'; expected one of planes, positions"),
        ({"plane_dtype": "int8"}, ValueError, "unknown plane_dtype 'int8'"),
        ({"autoreset": "never"}, ValueError, "unknown autoreset 'never'"),
        ({"backend": "jax"}, ValueError, "unknown backend 'jax'"),
        ({"device": "cuda", "backend": "numpy"}, ValueError, "expected 'cpu' with the numpy backend"),
        ({"colour": 1}, TypeError, "colour"),
    ],
)
def test_wrong_settings_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        BatchedCoinGame(**{"num_envs": 3, **settings})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda env: env.step(torch.zeros(2, 4).long()), ValueError, r"actions has shape \(2, 4\), expected \(2, 3\)"),
        (lambda env: env.step(torch.zeros(2, 3)), TypeError, "actions is float32, expected int64 or uint8"),
        (lambda env: env.step("left"), TypeError, "actions is str, expected an array or a tensor of int64 or uint8"),
        (lambda env: env.step([torch.zeros(3).long()]), ValueError, "got actions of 1 agents, expected 2"),
        (lambda env: env.step(torch.full((2, 3), 4)), ValueError, "actions holds 4 for player 0 in environment 0"),
        (lambda env: env.play(torch.zeros(2, 3).long()), ValueError, r"expected \(2, T, 3\)"),
        (lambda env: env.play(torch.zeros(2, 9, 3).long()), ValueError, "has played 0 of the 5 steps of its episode"),
        (lambda env: env.reset(mask=torch.zeros(3)), TypeError, "mask is float32, expected bool"),
        (lambda env: env.reset(seed=[1]), ValueError, "got 1 seeds, expected one, or 3"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    env = batched("coin-game", 3, episode_length=5, autoreset="disabled")
    env.reset(seed=0)
    state = env.state
    with pytest.raises(error, match=message):
        call(env)
    assert env.state is state


# ---- Gymnasium and PettingZoo -------------------------------------------------------------------------------

ID = "mamrl/CoinGame-v0"
OPPONENTS = ["cooperate", "defect", "random", lambda seen: np.zeros(len(seen), np.int64)]


@pytest.fixture(scope="module")
def gymnasium():
    return pytest.importorskip("gymnasium")


@pytest.mark.parametrize("settings", [{}, {"variant": "jaxmarl"}, {"observation": "positions", "grid": 16}])
def test_gymnasiums_checker_passes(gymnasium, settings):
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ID, episode_length=7, **settings).unwrapped)


@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP"])
@pytest.mark.parametrize("opponent", OPPONENTS, ids=str)
def test_steps_equal_a_sync_vector_env(gymnasium, mode, opponent):
    from gymnasium.utils.env_checker import data_equivalence
    from gymnasium.vector import AutoresetMode, SyncVectorEnv

    settings = {"opponent": opponent, "episode_length": 4, "variant": "loqa"}
    vector = gymnasium.make_vec(ID, num_envs=3, autoreset_mode=AutoresetMode[mode], **settings)
    singles = [lambda: gymnasium.make(ID, **settings) for _ in range(3)]
    sync = SyncVectorEnv(singles, autoreset_mode=AutoresetMode[mode])
    for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(vector, space) == getattr(sync, space)
    assert data_equivalence(vector.reset(seed=5), sync.reset(seed=5), exact=True)
    actions = sync.action_space
    actions.seed(0)
    for t in range(23):
        action = actions.sample()
        assert data_equivalence(vector.step(action), sync.step(action), exact=True), t
        if t == 9:
            # episodes that end at different times
            given = {"options": {"reset_mask": np.array([True, False, True])}}
            assert data_equivalence(vector.reset(**given), sync.reset(**given), exact=True)


def test_an_opponent_earns_what_the_exact_values_say(gymnasium):
    envs, horizon = 20_000, 10
    vector = gymnasium.make_vec(
        ID, num_envs=envs, opponent="defect", episode_length=horizon, observation="positions", variant="loqa"
    )
    vector.reset(seed=0)
    rng, totals = np.random.default_rng(0), np.zeros((2, envs))
    for _ in range(horizon):
        _, rewards, _, _, info = vector.step(rng.integers(4, size=envs))
        totals += rewards, info["opponent_rewards"][:, 0]
    exact = coin_game_values(coin_game("loqa"), "random", "defect", horizon).numpy()
    assert (abs(totals.mean(1) / horizon - exact) < 3 * totals.std(1) / horizon / envs**0.5).all()


def test_wrong_opponents_and_actions_are_named(gymnasium):
    for opponent, error, message in (
        ("nobody", ValueError, "unknown opponent 'nobody'"),
        (3, TypeError, "opponent is int, expected a name of"),
    ):
        with pytest.raises(error, match=message):
            gymnasium.make_vec(ID, num_envs=2, opponent=opponent)
    with pytest.raises(ValueError, match="the player 'pola-cooperate' knows one coin"):
        gymnasium.make_vec(ID, num_envs=2, opponent="pola-cooperate", variant="mfos")
    vector = gymnasium.make_vec(ID, num_envs=2)
    with pytest.raises(RuntimeError, match="have not been reset"):
        vector.step(np.zeros(2, np.int64))
    vector.reset(seed=0)
    for actions, error, message in (
        (np.zeros(2), TypeError, "actions are float64, expected integers"),
        (np.zeros(3, np.int64), ValueError, r"actions have shape \(3,\), expected \(2,\)"),
        (np.array([0, 4]), ValueError, "actions holds 4 for player 0 in environment 1"),
    ):
        with pytest.raises(error, match=message):
            vector.step(actions)


@pytest.mark.parametrize("settings", [{"variant": "loqa"}, {"variant": "jaxmarl", "observation": "positions"}])
def test_pettingzoos_tests_pass(settings):
    pettingzoo = pytest.importorskip("pettingzoo.test")
    from mamrl.envs import parallel

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pettingzoo.parallel_api_test(parallel("coin-game", episode_length=30, **settings), num_cycles=50)
        pettingzoo.parallel_seed_test(lambda: parallel("coin-game", episode_length=30, **settings), num_cycles=50)


def test_a_parallel_environment_is_the_batch_of_one():
    pytest.importorskip("pettingzoo")
    from mamrl.envs import parallel

    env, batch = parallel("coin-game", episode_length=3), batched("coin-game", 1, episode_length=3)
    observations, _ = env.reset(seed=7)
    assert np.array_equal(np.stack(list(observations.values())), batch.reset(seed=7)[0][:, 0])
    for t in range(3):
        observations, rewards, _, truncations, _ = env.step({"player_0": 1, "player_1": 2})
        step = batch.step(torch.tensor([[1], [2]]))
        assert np.array_equal(np.stack(list(observations.values())), step.observations[:, 0])
        assert list(rewards.values()) == step.rewards[:, 0].tolist()
        assert all(truncations.values()) == (t == 2)
    assert env.agents == []
    env.reset()
    with pytest.raises(TypeError, match="player_0's action is float64, expected an integer"):
        env.step({"player_0": 1.0, "player_1": 2})
    with pytest.raises(TypeError, match=r"device is a setting of mamrl.envs.batched"):
        parallel("coin-game", device="cpu")
