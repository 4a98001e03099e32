"""A game of one's own that is no table of payoffs: one file outside the package (docs/extending/game.md)."""

import torch

from mamrl.games.base import Game
from mamrl.games.trajectories import Trajectories
from mamrl.ops import reference


class Pasture(Game):
    """Each takes one bale or two; what is left grows by half, with luck; both see how much there is, 0 to 6 bales."""

    name = "pasture"
    num_players = 2
    num_states = 7
    action_counts = (2, 2)
    action_names = ("One", "Two")
    symmetric = True

    def state_names(self):
        return [f"{bales} bales" for bales in range(self.num_states)]

    def play(self, policies, parameters, keys, num_trajectories, horizon, value_network=None, value_parameters=None):
        states = torch.zeros(2, horizon, len(keys), num_trajectories, dtype=torch.int64)
        actions, rewards = torch.zeros_like(states), torch.zeros(states.shape, dtype=parameters[0].dtype)
        grass = torch.full(states.shape[2:], self.num_states - 1)
        for t in range(horizon):
            states[:, t] = grass
            for player, (policy, rows) in enumerate(zip(policies, parameters, strict=True)):
                logits = policy.logits(rows, grass[None])[0]
                actions[player, t] = reference.sample(logits, reference.uniforms(keys, t, num_trajectories, player))
            wanted = 1 + actions[:, t]
            taken = torch.minimum(wanted.sum(0), grass)
            rewards[:, t] = wanted * taken / wanted.sum(0)
            lucky = reference.uniforms(keys, t, num_trajectories, 2) < 0.9
            grass = (grass - taken + ((grass - taken + 1) // 2) * lucky).clamp(max=self.num_states - 1)
        return Trajectories(states, actions, rewards)
