"""Iterated matrix games given actions, as others step them: NumPy, JAX, OpenSpiel, Gymnasium and PettingZoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.rivals.contest import OURS, Contest, Way
from mamrl.envs import batched
from mamrl.games import ipd

LENGTH, ENVS = 150, 1024
# environments that are Python objects play a share of the work
FEW = 64


def numpy_step(payoffs: np.ndarray, actions: np.ndarray, elapsed: np.ndarray, length: int) -> tuple[np.ndarray, ...]:
    """One step of payoffs (2, 2, 2), actions (2, E), elapsed (E,) in place: states, rewards, truncations."""
    own, other = actions
    joint = own * 2 + other
    states = np.stack([1 + joint, 1 + other * 2 + own])
    rewards = payoffs.reshape(2, 4).take(joint, axis=1)
    ended = elapsed == length
    elapsed += 1
    if ended.any():
        states[:, ended], rewards[:, ended], elapsed[ended] = 0, 0, 0
    return states, rewards, elapsed == length


def numpy_episode(payoffs: np.ndarray, actions: np.ndarray, elapsed: np.ndarray, length: int) -> list[np.ndarray]:
    """T steps of actions (2, T, E)."""
    steps = [numpy_step(payoffs, actions[:, t], elapsed, length) for t in range(actions.shape[1])]
    return [np.stack(arrays) for arrays in zip(*steps, strict=True)]


def jax_episode(payoffs: np.ndarray, actions: np.ndarray, length: int) -> Callable[[], object]:
    """The same as one jitted scan over time, compiled and with its arguments in place.

    Raises:
        ImportError: JAX is not installed.
    """
    import jax
    import jax.numpy as jnp

    table = jnp.asarray(payoffs.reshape(2, 4))

    def step(elapsed, joint_actions):
        own, other = joint_actions
        joint = own * 2 + other
        ended = elapsed == length
        states = jnp.where(ended, 0, jnp.stack([1 + joint, 1 + other * 2 + own]))
        rewards = jnp.where(ended, 0, table[:, joint])
        elapsed = jnp.where(ended, 0, elapsed + 1)
        return elapsed, (states, rewards, elapsed == length)

    scan = jax.jit(lambda elapsed, given: jax.lax.scan(step, elapsed, given))
    start = jnp.zeros(actions.shape[-1], jnp.int32)
    given = jnp.asarray(np.moveaxis(actions, 1, 0).astype(np.int32))
    jax.block_until_ready(scan(start, given))
    return lambda: jax.block_until_ready(scan(start, given))


# ---- an episode of given actions (2, T, E), after which every way shows the first player's rewards (T, E) ----


def given_actions() -> np.ndarray:
    return np.random.default_rng(0).integers(2, size=(2, LENGTH, ENVS))


def of_the_few(rewards: Any) -> np.ndarray:
    return np.asarray(rewards)[:, :FEW]


def rewards_of(play: Callable[[], Any]) -> np.ndarray:
    return of_the_few(play())


def mamrl_episode(actions: np.ndarray) -> Callable[[], Any]:
    env = batched("ipd", ENVS, index_dtype="uint8", copy=False, episode_length=LENGTH)
    given = torch.from_numpy(actions).to(torch.uint8)

    def play() -> Any:
        env.reset()
        return env.play(given).rewards[0]

    return play


def mamrl_steps(actions: np.ndarray, copy: bool = False) -> Callable[[], Any]:
    env = batched("ipd", ENVS, index_dtype="uint8", copy=copy, episode_length=LENGTH)
    rows = [row.contiguous() for row in torch.from_numpy(actions).to(torch.uint8).unbind(1)]

    def play() -> Any:
        env.reset()
        return [env.step(row).rewards[0] for row in rows]

    return play


def numpy_table(actions: np.ndarray) -> Callable[[], Any]:
    payoffs = ipd().payoffs.numpy()
    return lambda: numpy_episode(payoffs, actions, np.zeros(ENVS, np.int32), LENGTH)


def open_spiel(actions: np.ndarray) -> Callable[[], Any]:
    """Its iterated matrix game, which is vectorised over a batch; it counts players last."""
    from open_spiel.python.environments.iterated_matrix_game import IteratedMatrixGame

    payoffs = np.moveaxis(ipd().payoffs.numpy(), 0, -1)
    env = IteratedMatrixGame(payoffs, LENGTH, ENVS, include_remaining_iterations=False)
    rows = [np.ascontiguousarray(actions[:, t].T) for t in range(LENGTH)]

    def play() -> Any:
        env.reset()
        return [env.step(row).rewards[0] for row in rows]

    return play


def gymnasium_vector(actions: np.ndarray) -> Callable[[], Any]:
    """An environment as one writes it for Gymnasium, both players' actions in one, under its SyncVectorEnv."""
    import gymnasium
    from gymnasium import spaces

    payoffs = ipd().payoffs.numpy()

    class PrisonersDilemma(gymnasium.Env):
        observation_space = spaces.Discrete(5)
        action_space = spaces.MultiDiscrete([2, 2])

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
            self.elapsed = 0
            return 0, {}

        def step(self, action: np.ndarray) -> tuple[int, float, bool, bool, dict[str, Any]]:
            own, other = action
            self.elapsed += 1
            return 1 + 2 * own + other, payoffs[0, own, other], False, self.elapsed == LENGTH, {}

    env = gymnasium.vector.SyncVectorEnv([PrisonersDilemma] * FEW, copy=False)
    rows = [np.ascontiguousarray(actions[:, t, :FEW].T) for t in range(LENGTH)]

    def play() -> Any:
        env.reset()
        return [env.step(row)[1].copy() for row in rows]

    return play


def pettingzoo_supersuit(actions: np.ndarray) -> Callable[[], Any]:
    """A parallel environment as one writes it for PettingZoo, turned into a vector by SuperSuit: a row a player."""
    import supersuit
    from gymnasium import spaces
    from pettingzoo import ParallelEnv

    payoffs = ipd().payoffs.numpy()

    class PrisonersDilemma(ParallelEnv):
        metadata: dict[str, Any] = {"name": "ipd"}  # noqa: RUF012
        possible_agents = ["first", "second"]  # noqa: RUF012
        render_mode = None

        def observation_space(self, agent: str) -> Any:
            return spaces.Box(0, 1, (5,), np.float32)

        def action_space(self, agent: str) -> Any:
            return spaces.Discrete(2)

        def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
            self.agents, self.elapsed = list(self.possible_agents), 0
            return {agent: SEEN[0] for agent in self.agents}, {agent: {} for agent in self.agents}

        def step(self, actions: dict[str, int]) -> tuple[dict[str, Any], ...]:
            own, other = actions["first"], actions["second"]
            self.elapsed += 1
            ended = self.elapsed == LENGTH
            agents, self.agents = self.agents, [] if ended else self.agents
            return (
                {"first": SEEN[1 + 2 * own + other], "second": SEEN[1 + 2 * other + own]},
                {"first": payoffs[0, own, other], "second": payoffs[1, own, other]},
                dict.fromkeys(agents, False),
                dict.fromkeys(agents, ended),
                {agent: {} for agent in agents},
            )

    vector = supersuit.pettingzoo_env_to_vec_env_v1(PrisonersDilemma())
    env = supersuit.concat_vec_envs_v1(vector, FEW, num_cpus=0, base_class="gymnasium")
    rows = [np.ascontiguousarray(actions[:, t, :FEW].T).reshape(-1) for t in range(LENGTH)]

    def play() -> Any:
        env.reset()
        return [env.step(row)[1][::2].copy() for row in rows]

    return play


SEEN = np.eye(5, dtype=np.float32)


def jax_scan(actions: np.ndarray) -> Callable[[], Any]:
    return jax_episode(ipd().payoffs.numpy(), actions, LENGTH)


def contests() -> Iterator[Contest]:
    actions = given_actions()
    share = {"result": rewards_of, "calls": ENVS / FEW, "note": f"{FEW} environments, times {ENVS // FEW}"}
    yield Contest(
        "matrix_game",
        f"prisoner's dilemma, {LENGTH} steps of {ENVS} environments, actions given",
        [
            Way(OURS, partial(mamrl_episode, actions), "mamrl", rewards_of, note="a call an episode"),
            Way(
                f"{OURS}, a call a step",
                partial(mamrl_steps, actions),
                "mamrl",
                # the rewards of all steps would else be the last one's
                lambda play: of_the_few(mamrl_steps(actions, copy=True)()),
            ),
            Way("NumPy by table", partial(numpy_table, actions), "numpy", lambda play: of_the_few(play()[1][:, 0])),
            Way(
                "JAX, jitted scan",
                partial(jax_scan, actions),
                "jax",
                lambda play: of_the_few(play()[1][1][:, 0]),
                note="a call an episode",
            ),
            Way("OpenSpiel, IteratedMatrixGame", partial(open_spiel, actions), "open-spiel", rewards_of),
            Way("Gymnasium, SyncVectorEnv", partial(gymnasium_vector, actions), "gymnasium", **share),
            Way("PettingZoo, SuperSuit", partial(pettingzoo_supersuit, actions), "supersuit", **share),
        ],
        rounds=9,
    )
