"""JaxMARL's own transitions, given its draws; runs where jaxmarl is installed."""

import numpy as np
import pytest
import torch

from mamrl.games.coin_game import coin_game
from mamrl.games.coin_game_twin import observe, outcome, replaced

jax = pytest.importorskip("jax")
jaxmarl = pytest.importorskip("jaxmarl")

EPISODE, EPISODES, ENVS = 7, 3, 200


def cells(state):
    """(E, 4) as the library has a state."""
    places = (state.red_pos, state.blue_pos, state.red_coin_pos, state.blue_coin_pos)
    return torch.tensor(np.stack([np.asarray(place) @ np.array([3, 1]) for place in places], -1)).long()


def test_rewards_states_and_observations_are_jaxmarls():
    game = coin_game("jaxmarl")
    env = jaxmarl.make("coin_game", num_inner_steps=EPISODE, num_outer_steps=EPISODES, cnn=True)
    keys = jax.random.split(jax.random.PRNGKey(0), ENVS)
    _, state = jax.vmap(env.reset)(keys)
    step = jax.jit(jax.vmap(env.step_env))
    rng = np.random.default_rng(0)
    for t in range(1, EPISODE * EPISODES):
        keys = jax.vmap(lambda key: jax.random.split(key)[0])(keys)
        actions = rng.integers(5, size=(2, ENVS))
        before = cells(state)
        seen, state, rewards, _, _ = step(keys, state, {"0": actions[0], "1": actions[1]})
        after = outcome(game, before, torch.from_numpy(actions.T))
        paid = np.stack([np.asarray(rewards[agent]) for agent in ("0", "1")], -1)
        planes = torch.tensor(np.stack([np.asarray(seen[agent]) for agent in ("0", "1")])).movedim(-1, 2)
        torch.testing.assert_close(planes.float(), observe(game, cells(state), "planes"))
        if t % EPISODE == 0:
            # an episode's last step is not paid, and shows the next one's start
            assert not paid.any()
            continue
        np.testing.assert_array_equal(paid, after.rewards.numpy())
        assert torch.equal(replaced(game, before, after, cells(state)[:, 2:]), cells(state))
