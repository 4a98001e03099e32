"""The coin game as environments, random actions given: 50 steps of 512 environments, as LOQA plays it."""

from __future__ import annotations

import os

# JAX would else take every core
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

from typing import Any

import pytest
import torch

from bench.rivals.coin_game import EagerCoinGame, jaxmarl_episode
from mamrl.envs import batched
from mamrl.games.coin_game import coin_game
from mamrl.games.coin_game_twin import observe, outcome, replaced

ENVS, LENGTH = 512, 50


def case(name: str, **settings: Any):
    return pytest.param(settings, marks=pytest.mark.benchmark(group=f"coin game, {name}, 50 steps of 512"))


CASES = pytest.mark.parametrize(
    "settings",
    [
        case("positions", observation="positions"),
        case("planes", observation="planes"),
        case("5 x 5, planes", observation="planes", grid=5),
    ],
)


def steps_of(settings: dict[str, Any], dtype: torch.dtype = torch.uint8):
    """What plays an episode of random actions in a call, and those actions."""
    env = batched("coin-game", ENVS, **{"variant": "loqa", "episode_length": LENGTH, "copy": False, **settings})
    env.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    return env.play, torch.randint(env.game.num_actions, (2, LENGTH, ENVS), generator=generator).to(dtype)


def a_call_a_step(step, actions):
    for joint in actions.unbind(1):
        step(joint)


@CASES
def test_mamrl(benchmark, threads, settings):
    benchmark(*steps_of(settings))


@CASES
def test_mamrl_int64_actions(benchmark, threads, settings):
    benchmark(*steps_of(settings, torch.int64))


@CASES
def test_mamrl_two_coins(benchmark, threads, settings):
    benchmark(*steps_of({**settings, "variant": "two-coins"}))


@CASES
def test_mamrl_byte_planes(benchmark, threads, settings):
    benchmark(*steps_of({**settings, "plane_dtype": "uint8"}))


@CASES
def test_mamrl_a_call_a_step(benchmark, threads, settings):
    play, actions = steps_of(settings)
    benchmark(a_call_a_step, play.__self__.step, actions)


@CASES
def test_rival_zeros(benchmark, threads, settings):
    """Clears as much memory as the observations take."""
    play, actions = steps_of(settings)
    benchmark(play(actions).observations.zero_)


@CASES
def test_rival_eager(benchmark, threads, settings):
    game = EagerCoinGame(ENVS, settings.get("grid", 3), settings["observation"] == "planes")
    benchmark(a_call_a_step, game.step, steps_of(settings, torch.int64)[1])


@CASES
def test_rival_jaxmarl(benchmark, threads, settings):
    """Its planes are bytes, of 3 x 3, and its rules have two coins."""
    pytest.importorskip("jaxmarl")
    if settings != {"observation": "planes"}:
        pytest.skip("JaxMARL's coin game has planes of 3 x 3 alone")
    benchmark(jaxmarl_episode(steps_of({**settings, "variant": "jaxmarl"}, torch.int64)[1].numpy()))


@pytest.mark.parametrize("planes", [False, True])
def test_rivals_compute_the_same(planes):
    game, rival = coin_game("loqa"), EagerCoinGame(64, 3, planes)
    for _ in range(30):
        state = torch.stack([*rival.cells(), rival.coin, rival.owner], -1)
        actions, uniform = torch.randint(4, (2, 64)), torch.rand(64)
        seen, rewards = rival.step(actions, uniform)
        after = outcome(game, state, actions.T)
        assert torch.equal(rewards, after.rewards.T)
        expected = replaced(game, state, after, rival.new_coins(uniform).unsqueeze(-1))
        assert torch.equal(seen.float(), observe(game, expected, "planes" if planes else "positions").float())
