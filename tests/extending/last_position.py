"""An algorithm of one's own: one file outside the package (docs/extending/algorithm.md)."""

from dataclasses import dataclass

import torch

from mamrl.meta import Algorithm, Outcome, outer_advantages


@dataclass(frozen=True)
class LastPosition(Algorithm):
    """sum_t A_L (log pi^i + log pi^-i)(tau_L): the return of tau_L alone, through everybody's steps."""

    def objective(self, problem):
        positions = self.play_chain(problem)
        last, played = positions[-1], [position.trajectories for position in positions]
        advantages = outer_advantages(problem.chain, problem.game, positions)[-1]
        influence = last.log_probs[0] + last.log_probs[1]
        rewards = torch.stack([trajectories.rewards[0].mean() for trajectories in played])
        return Outcome((advantages * influence).sum(0).mean(-1), rewards, positions)
