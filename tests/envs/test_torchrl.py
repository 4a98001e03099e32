import copy
import pickle

import numpy as np
import pytest
import torch

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("torchrl")

from tensordict.nn import TensorDictModule  # noqa: E402
from torchrl.envs import GymWrapper, check_env_specs  # noqa: E402

from mamrl.envs import TorchRLEnv  # noqa: E402

IDS = ["mamrl/IPD-v0", "mamrl/CoinGame-v0", "mamrl/HalfCheetahDir-v0"]
LENGTH = 5


def made(env_id, **settings):
    if "Cheetah" in env_id:
        pytest.importorskip("mujoco")
    return gymnasium.make_vec(env_id, num_envs=3, autoreset_mode="Disabled", episode_length=LENGTH, **settings)


@pytest.mark.parametrize("env_id", IDS)
def test_torchrls_check_passes(env_id):
    check_env_specs(TorchRLEnv(made(env_id)))


@pytest.mark.parametrize("env_id", IDS)
def test_a_rollout_is_the_vector_environments_steps(env_id):
    env, plain = TorchRLEnv(made(env_id)), made(env_id)
    env.set_seed(7)
    played = env.rollout(13, break_when_any_done=False)
    assert played.batch_size == (3, 13)
    seen, _ = plain.reset(seed=7)
    for t in range(13):
        now, after = played[:, t], played[:, t]["next"]
        np.testing.assert_array_equal(now["observation"], seen)
        seen, rewards, terminations, truncations, _ = plain.step(now["action"].numpy())
        np.testing.assert_array_equal(after["observation"], seen)
        np.testing.assert_array_equal(after["reward"][:, 0], rewards.astype(np.float32))
        np.testing.assert_array_equal(after["truncated"][:, 0], truncations)
        np.testing.assert_array_equal(after["done"][:, 0], truncations | terminations)
        if truncations.any():
            seen, _ = plain.reset(options={"reset_mask": truncations})
    assert played["next", "truncated"].sum() == 6


def test_environments_end_and_begin_one_by_one():
    env = TorchRLEnv(made("mamrl/IPD-v0"))
    state = env.reset()
    state["action"] = torch.ones(3, dtype=torch.int64)
    state = env.step(state)["next"]
    state["_reset"] = torch.tensor([[True], [False], [False]])
    assert env.reset(state)["observation"].tolist() == [0, 3, 3]


def test_it_plays_what_torchrls_own_wrapper_plays():
    env, wrapped = TorchRLEnv(made("mamrl/IPD-v0")), GymWrapper(made("mamrl/IPD-v0"), categorical_action_encoding=True)
    env.set_seed(3), wrapped.set_seed(3)
    defect = TensorDictModule(lambda done: done[:, 0].long() * 0 + 1, in_keys=["done"], out_keys=["action"])
    one, other = (each.rollout(12, defect, break_when_any_done=False) for each in (env, wrapped))
    for key in ("reward", "done", "truncated"):
        assert torch.equal(one["next", key], other["next", key])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_steps_on(copied):
    env = TorchRLEnv(made("mamrl/IPD-v0", opponent="random"))
    env.set_seed(0)
    state = env.reset().set("action", torch.zeros(3, dtype=torch.int64))
    other = copied(env)
    one, two = ([each.step(state.clone())["next", "reward"] for _ in range(LENGTH)] for each in (env, other))
    assert torch.equal(torch.stack(one), torch.stack(two))


def test_wrong_environments_are_named():
    with pytest.raises(TypeError, match=r"envs is \w+, expected a vector environment, of gymnasium.make_vec"):
        TorchRLEnv(gymnasium.make("mamrl/IPD-v0"))
    with pytest.raises(ValueError, match=r"autoreset_mode is .*NEXT_STEP.*, expected 'Disabled': TorchRL resets them"):
        TorchRLEnv(gymnasium.make_vec("mamrl/IPD-v0", num_envs=2))


def test_closing_closes_what_is_stepped():
    plain = made("mamrl/IPD-v0")
    env = TorchRLEnv(plain)
    env.close()
    env.close()
    assert plain.closed
