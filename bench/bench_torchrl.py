"""Steps of 256 prisoner's dilemmas against tit-for-tat, as TorchRL sees them: by its own wrapper, and by ours."""

from __future__ import annotations

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
torchrl_envs = pytest.importorskip("torchrl.envs")

from mamrl.envs import TorchRLEnv  # noqa: E402

NUM_ENVS = 256

pytestmark = pytest.mark.benchmark(group=f"TorchRL, {NUM_ENVS} IPDs against tit-for-tat, a step")


def measure(benchmark, env):
    env.set_seed(0)
    state = env.rand_action(env.reset())
    benchmark(env.step, state)


def made():
    # without an end, so that no reset is timed
    return gymnasium.make_vec("mamrl/IPD-v0", num_envs=NUM_ENVS, autoreset_mode="Disabled", episode_length=0)


def test_mamrl(benchmark, threads):
    measure(benchmark, TorchRLEnv(made()))


def test_rival_gym_wrapper(benchmark, threads):
    measure(benchmark, torchrl_envs.GymWrapper(made()))


def test_rival_dummy_vec_env(benchmark, threads):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    env = vec_env.DummyVecEnv([lambda: gymnasium.make("mamrl/IPD-v0")] * NUM_ENVS)
    env.reset()
    benchmark(env.step, np.random.default_rng(0).integers(2, size=NUM_ENVS))
