"""The prisoner's dilemma as environments, random actions given: one call for an episode, and a call a step."""

from __future__ import annotations

import os

# JAX would else take every core
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np
import pytest
import torch

from bench.rivals import matrix_game as rival
from mamrl import ops
from mamrl.envs import batched
from mamrl.games import ipd
from mamrl.policies.strategies import named_strategy

LENGTH = 150
# an episode a call of 1024 environments, and a step a call of 16384
SIZES = pytest.mark.parametrize(
    ("num_envs", "horizon"),
    [
        pytest.param(1024, LENGTH, marks=pytest.mark.benchmark(group="IPD, 150 steps a call, 1024 environments")),
        pytest.param(16384, None, marks=pytest.mark.benchmark(group="IPD, one step a call, 16384 environments")),
    ],
)


def steps_of(num_envs: int, horizon: int | None, dtype: str):
    """What steps the environments with random actions, and those actions."""
    env = batched("ipd", num_envs, index_dtype=dtype, copy=False, episode_length=LENGTH)
    env.reset()
    shape = (2, num_envs) if horizon is None else (2, horizon, num_envs)
    actions = torch.randint(2, shape, generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))
    return (env.step if horizon is None else env.play), actions


@SIZES
def test_mamrl(benchmark, threads, num_envs, horizon):
    benchmark(*steps_of(num_envs, horizon, "uint8"))


@SIZES
def test_mamrl_int64(benchmark, threads, num_envs, horizon):
    benchmark(*steps_of(num_envs, horizon, "int64"))


def copy_as_many_bytes(num_envs: int, horizon: int | None, bytes_an_index: int):
    """Reads and writes as much as the steps: two actions and states, two rewards and a truncation."""
    total = num_envs * (horizon or 1) * (4 * bytes_an_index + 2 * 4 + 1)
    source, target = torch.zeros(2, total // 2, dtype=torch.uint8)
    return lambda: target.copy_(source)


@SIZES
def test_rival_memory_copy(benchmark, threads, num_envs, horizon):
    benchmark(copy_as_many_bytes(num_envs, horizon, 1))


@SIZES
def test_rival_memory_copy_int64(benchmark, threads, num_envs, horizon):
    benchmark(copy_as_many_bytes(num_envs, horizon, 8))


@SIZES
def test_rival_numpy(benchmark, num_envs, horizon):
    _, actions = steps_of(num_envs, horizon, "int64")
    step = rival.numpy_step if horizon is None else rival.numpy_episode
    benchmark(step, ipd().payoffs.numpy(), actions.numpy(), np.zeros(num_envs, np.int32), LENGTH)


@SIZES
def test_rival_jax_scan(benchmark, num_envs, horizon):
    pytest.importorskip("jax")
    _, actions = steps_of(num_envs, horizon, "int64")
    given = actions.numpy().reshape(2, horizon or 1, num_envs)
    benchmark(rival.jax_episode(ipd().payoffs.numpy(), given, LENGTH))


VECTOR = pytest.mark.benchmark(group="IPD VectorEnv against tit-for-tat, 16384 environments")


def vector_step(num_envs: int, **settings):
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=num_envs, **settings)
    env.reset(seed=0)
    return env.step, np.random.default_rng(0).integers(2, size=num_envs)


@VECTOR
def test_mamrl_vector(benchmark, threads):
    benchmark(*vector_step(16384, copy=False))


@VECTOR
def test_mamrl_vector_fresh_arrays(benchmark, threads):
    benchmark(*vector_step(16384))


@VECTOR
def test_mamrl_vector_of_one(benchmark, threads):
    """What the call costs where there is next to nothing to compute."""
    benchmark(*vector_step(1, copy=False))


@VECTOR
def test_mamrl_vector_kernel(benchmark, threads):
    """The kernel that the step calls, and nothing around it."""
    game = ipd().to(torch.float64)
    table = named_strategy("tit-for-tat", game, player=1).unsqueeze(0)
    actions, seen = torch.randint(2, (2, 16384))
    states, elapsed = actions.byte(), torch.zeros(16384, dtype=torch.int32)
    joint = torch.zeros(2, 1, 16384, dtype=torch.uint8)
    out = ops.GameSteps.empty(game.payoffs, joint, elapsed, "next-step")
    given = (game.payoffs, table, None, None, None, actions, states, elapsed, LENGTH, "next-step", joint, out, seen)
    benchmark(ops.matrix_game_turn, *given)


@VECTOR
def test_rival_sync_vector_env(benchmark, threads):
    """Of 64 single environments; multiply by 256."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=64, vectorization_mode="sync")
    env.reset(seed=0)
    benchmark(env.step, np.random.default_rng(0).integers(2, size=64))


def test_rivals_compute_the_same():
    env = batched("ipd", 7, episode_length=5)
    env.reset()
    actions = torch.randint(2, (2, 23, 7))
    played = env.play(actions)
    payoffs = ipd().payoffs.numpy()
    states, rewards, truncations = rival.numpy_episode(payoffs, actions.numpy(), np.zeros(7, np.int32), 5)
    np.testing.assert_array_equal(np.moveaxis(states, 0, 1), played.observations)
    np.testing.assert_array_equal(np.moveaxis(rewards, 0, 1), played.rewards)
    np.testing.assert_array_equal(truncations, played.truncations)
    pytest.importorskip("jax")
    _, (states, rewards, truncations) = rival.jax_episode(payoffs, actions.numpy(), 5)()
    np.testing.assert_array_equal(np.moveaxis(states, 0, 1), played.observations)
    np.testing.assert_array_equal(np.moveaxis(rewards, 0, 1), played.rewards)
    np.testing.assert_array_equal(truncations, played.truncations)
