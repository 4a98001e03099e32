"""The coin game as others step it: eager torch, a dozen small operations a step, and JaxMARL's jitted scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.rivals.contest import OURS, Contest, Way
from mamrl.envs import batched
from mamrl.games.coin_game import coin_game
from mamrl.games.coin_game_twin import outcome

ENVS, LENGTH = 512, 50


class EagerCoinGame:
    """LOQA's rules on a square grid: one coin, both are paid, a new coin off both players, own view first.

    Args:
        num_envs: E.
        grid: the side.
        planes: whether a step makes planes (2, E, 4, grid, grid), or gives positions (2, E, 4).
    """

    def __init__(self, num_envs: int, grid: int, planes: bool) -> None:
        self.grid, self.planes = grid, planes
        self.moves = torch.tensor([[0, -1], [0, 1], [-1, 0], [1, 0]])
        self.players = torch.randint(grid, (2, num_envs, 2))
        self.coin = self.new_coins(torch.rand(num_envs))
        self.owner = torch.randint(2, (num_envs,))

    def cells(self) -> Tensor:
        return self.players[..., 0] * self.grid + self.players[..., 1]

    def new_coins(self, uniform: Tensor) -> Tensor:
        """Of the cells without players, by uniform numbers (E,) in [0, 1)."""
        first, second = self.cells()
        low, high = torch.minimum(first, second), torch.maximum(first, second)
        apart = (low != high).long()
        coin = (uniform * (self.grid**2 - 1 - apart)).long()
        coin = coin + (coin >= low)
        return coin + apart * (coin >= high)

    def step(self, actions: Tensor, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """actions (2, E) int64 -> observations and rewards (2, E)."""
        self.players = (self.players + self.moves[actions]) % self.grid
        takes = self.cells() == self.coin
        first, second = takes.float()
        theirs = self.owner.float()
        rewards = torch.stack([first - 2 * second * (1 - theirs), second - 2 * first * theirs])
        taken = takes.any(0)
        uniform = torch.rand(len(self.coin)) if uniform is None else uniform
        self.coin = torch.where(taken, self.new_coins(uniform), self.coin)
        self.owner = self.owner ^ taken.long()
        return self.observe(), rewards

    def observe(self) -> Tensor:
        cells, envs = self.cells(), len(self.coin)
        if not self.planes:
            first = torch.stack([cells[0], cells[1], self.coin, self.owner], -1)
            return torch.stack([first, torch.stack([cells[1], cells[0], self.coin, 1 - self.owner], -1)])
        planes = torch.zeros(2, envs, 4, self.grid**2)
        planes[:, :, 0].scatter_(-1, cells.unsqueeze(-1), 1)
        planes[:, :, 1].scatter_(-1, cells.flip(0).unsqueeze(-1), 1)
        owner = torch.stack([self.owner, 1 - self.owner])
        planes.flatten(2).scatter_(-1, ((2 + owner) * self.grid**2 + self.coin).unsqueeze(-1), 1)
        return planes.unflatten(-1, (self.grid, self.grid))


def jaxmarl_episode(actions: np.ndarray) -> Callable[[], object]:
    """JaxMARL's own environment, actions (2, T, E), as one jitted scan over time, compiled and all in place.

    Raises:
        ImportError: JAX or JaxMARL is not installed.
    """
    import jax
    import jaxmarl

    horizon, envs = actions.shape[1:]
    env = jaxmarl.make("coin_game", num_inner_steps=horizon, num_outer_steps=1)
    keys = jax.random.split(jax.random.PRNGKey(0), envs)
    _, start = jax.vmap(env.reset)(keys)

    def step(carried, joint):
        keys, state = carried
        keys = jax.vmap(lambda key: jax.random.split(key)[0])(keys)
        seen, state, rewards, _, _ = jax.vmap(env.step_env)(keys, state, {"0": joint[0], "1": joint[1]})
        return (keys, state), (seen, rewards)

    given = jax.numpy.asarray(np.moveaxis(actions, 1, 0))
    compiled = jax.jit(lambda keys, state, given: jax.lax.scan(step, (keys, state), given))

    def play() -> object:
        return jax.block_until_ready(compiled(keys, start, given))

    play()
    return play


def mamrl_episode(actions: np.ndarray, variant: str) -> Callable[[], Any]:
    env = batched("coin-game", ENVS, variant=variant, observation="planes", episode_length=LENGTH, copy=False)
    env.reset(seed=0)
    given = torch.from_numpy(actions).to(torch.uint8)
    return lambda: env.play(given)


def eager_episode(actions: np.ndarray) -> Callable[[], Any]:
    game, rows = EagerCoinGame(ENVS, 3, planes=True), torch.from_numpy(actions).unbind(1)
    return lambda: [game.step(row) for row in rows]


# Coins are drawn by each in its own way, so what is compared is what a step pays: a rival's rewards are put beside
# those that our rules give at the same positions, and the difference has to be zero.


def no_difference(play: Callable[[], Any]) -> np.ndarray:
    return np.zeros((LENGTH - 1, ENVS, 2))


def eager_difference(actions: np.ndarray, play: Callable[[], Any]) -> np.ndarray:
    game, rival = coin_game("loqa"), EagerCoinGame(ENVS, 3, planes=True)
    rows = []
    for joint in torch.from_numpy(actions).unbind(1)[1:]:
        state = torch.stack([*rival.cells(), rival.coin, rival.owner], -1)
        rows.append(rival.step(joint)[1].T - outcome(game, state, joint.T).rewards)
    return torch.stack(rows).numpy()


def jaxmarl_difference(actions: np.ndarray, play: Callable[[], Any]) -> np.ndarray:
    import jax
    import jaxmarl

    game = coin_game("jaxmarl")
    env = jaxmarl.make("coin_game", num_inner_steps=LENGTH, num_outer_steps=1)
    keys = jax.random.split(jax.random.PRNGKey(0), ENVS)
    _, state = jax.vmap(env.reset)(keys)
    step = jax.jit(jax.vmap(env.step_env))
    rows = []
    for t in range(LENGTH - 1):
        places = (state.red_pos, state.blue_pos, state.red_coin_pos, state.blue_coin_pos)
        cells = torch.tensor(np.stack([np.asarray(place) @ np.array([3, 1]) for place in places], -1)).long()
        joint = actions[:, t]
        _, state, paid, _, _ = step(keys, state, {"0": joint[0], "1": joint[1]})
        theirs = np.stack([np.asarray(paid["0"]), np.asarray(paid["1"])], -1)
        rows.append(theirs - outcome(game, cells, torch.from_numpy(joint.T)).rewards.numpy())
        keys = jax.vmap(lambda key: jax.random.split(key)[0])(keys)
    return np.stack(rows)


def contests() -> Iterator[Contest]:
    actions = np.random.default_rng(0).integers(4, size=(2, LENGTH, ENVS))
    size = f"3 x 3, {LENGTH} steps of {ENVS} environments, planes seen"
    yield Contest(
        "coin_game",
        f"coin game with JaxMARL's rules, {size}",
        [
            Way(OURS, partial(mamrl_episode, actions, "jaxmarl"), "mamrl", no_difference),
            Way(
                "JaxMARL, jitted scan",
                partial(jaxmarl_episode, actions),
                "jaxmarl",
                partial(jaxmarl_difference, actions),
            ),
        ],
    )
    yield Contest(
        "coin_game",
        f"coin game with LOQA's rules, {size}",
        [
            Way(OURS, partial(mamrl_episode, actions, "loqa"), "mamrl", no_difference),
            Way("torch, eager", partial(eager_episode, actions), "torch", partial(eager_difference, actions)),
        ],
    )
