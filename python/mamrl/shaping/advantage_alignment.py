"""Advantage Alignment (Duque et al. 2025), its proximal form, and both for any number of players."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl import ops
from mamrl.shaping.actor_critic import Batch, td_advantages
from mamrl.shaping.loqa import earlier_sums


@dataclass(frozen=True)
class AdvantageAlignment:
    r"""An action is worth more where it gives the other an advantage after earlier ones gave it to oneself.

        A*_t = A^1_t + weight g (sum_{k<t} g^{t-k} A^1_k) A^2_t,     A^2 the sum over the other players    (equation 9)

    ascended as a policy gradient, or by PPO's clipped ratio (``clip``, proximal advantage alignment).

    Attributes:
        weight: beta, of the second term.
        gae_lambda: of the generalized advantages A^1 and A^2.
        running_mean: as the published code has it: in place of g (sum_{k<t} g^{t-k} A^1_k) the mean over the times
            before t of A^1_k, normalised over the batch, and nothing at t = 0.
        clip: of the ratio to the policy that played; 0 takes the policy gradient.
    """

    weight: float = 1.0
    gae_lambda: float = 0.95
    running_mean: bool = False
    clip: float = 0.0

    def loss(self, batch: Batch, discount: float) -> Tensor:
        """What is descended, a scalar differentiable in ``batch.log_probs``."""
        values = batch.values.detach()
        own = _generalized(td_advantages(batch.rewards, values, discount), discount * self.gae_lambda)
        bootstrap = torch.cat([batch.other_values, batch.other_values[:, -1:]], 1)
        others = batch.other_rewards + discount * bootstrap[:, 1:] - bootstrap[:, :-1]
        others = _generalized(others.sum(0), discount * self.gae_lambda)
        aligned = own + self.weight * self._before(own, discount) * others
        if self.clip == 0:
            return -(batch.log_probs * aligned).mean()
        ratio = (batch.log_probs - batch.played_log_probs).exp()
        return -torch.minimum(ratio * aligned, ratio.clamp(1 - self.clip, 1 + self.clip) * aligned).mean()

    def _before(self, own: Tensor, discount: float) -> Tensor:
        """What stands before the others' advantages, (T, E)."""
        if not self.running_mean:
            return discount * discount * earlier_sums(own, discount)
        normal = (own - own.mean()) / (own.std() + 1e-8)
        times = torch.arange(len(own), device=own.device).clamp_min(1).unsqueeze(-1)
        return earlier_sums(normal, 1.0) / times


def _generalized(deltas: Tensor, decay: float) -> Tensor:
    """sum_{s>=t} decay^{s-t} delta_s (Schulman et al. 2016): (T, E) -> (T, E)."""
    return ops.discounted_returns(deltas, decay)
