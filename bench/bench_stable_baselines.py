"""Steps of 256 prisoner's dilemmas against tit-for-tat, as Stable-Baselines3 sees them: its DummyVecEnv, and ours."""

from __future__ import annotations

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env")

from mamrl.envs import StableBaselinesVecEnv  # noqa: E402

NUM_ENVS = 256
ACTIONS = np.random.default_rng(0).integers(2, size=NUM_ENVS)

pytestmark = pytest.mark.benchmark(group=f"Stable-Baselines3's VecEnv, {NUM_ENVS} IPDs against tit-for-tat, a step")


def adapted(**settings):
    return StableBaselinesVecEnv(
        gymnasium.make_vec("mamrl/IPD-v0", num_envs=NUM_ENVS, autoreset_mode="SameStep"), **settings
    )


def measure(benchmark, env):
    env.seed(0)
    env.reset()
    benchmark(env.step, ACTIONS)


def test_mamrl(benchmark, threads):
    measure(benchmark, adapted())


def test_mamrl_with_infos(benchmark, threads):
    measure(benchmark, adapted(infos=("opponent_rewards",)))


def test_rival_dummy_vec_env(benchmark, threads):
    measure(benchmark, vec_env.DummyVecEnv([lambda: gymnasium.make("mamrl/IPD-v0")] * NUM_ENVS))
