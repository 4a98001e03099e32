"""LOQA: learning with opponent Q-learning awareness (Aghajohari et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl import ops
from mamrl.shaping.actor_critic import Batch, td_advantages


@dataclass(frozen=True)
class LOQA:
    r"""The other player b acts by a softmax of its action values, and these depend on how one plays.

    With Q~_t = r^b_t + g R~^b_{t+1}, where R~ is loaded DiCE's return (Farquhar et al. 2019), differentiable in one's
    own policy and with an influence that decays by ``decay`` a step, the paper ascends the mean over time of

        (log pi(a_t) + log softmax(Q~_t / temperature)[b_t]) A_t                                            (equation 8)

    Every R~_t is linear in the own log-probabilities at its value, d R~_t = sum_{k>=t} (g decay)^{k-t} (R^b_k - V^b_k)
    d log pi(a_k), so that the whole is a policy gradient with other advantages,

        A*_k = A_k + weight (R^b_k - V^b_k) sum_{t<k} g (g decay)^{k-1-t} (1 - p_t) A_t / temperature,
        p_t = softmax(Q~_t / temperature)[b_t]:

    an action is worth what it does for the other times what the other has just done for oneself. That form is computed
    here, two scans over time without a graph; tests hold it against the graph.

    Attributes:
        decay: of one's influence on the other's return, a step.
        temperature: of the softmax by which the other is taken to act.
        weight: of what goes through the other.
        through_advantages: as the published code has it: A_t is not held fixed, so that the actor's loss moves values,
            and through them both the actor and the critic.
    """

    decay: float = 0.9
    temperature: float = 1.0
    weight: float = 1.0
    through_advantages: bool = False

    def loss(self, batch: Batch, discount: float) -> Tensor:
        """What is descended, a scalar differentiable in ``batch.log_probs``."""
        advantages = td_advantages(batch.rewards, batch.values, discount)
        if not self.through_advantages:
            advantages = advantages.detach()
        returns = _returns(batch.other_rewards, discount)
        gains = returns - batch.other_values
        shares = 1 - self._taken_probabilities(batch, returns, discount)
        credit = earlier_sums(shares * advantages / self.temperature, discount * self.decay) * discount
        shaped = advantages + self.weight * (gains * credit).sum(0)
        if not self.through_advantages:
            return -(batch.log_probs * shaped).mean()
        # the published code's derivative of log softmax(Q~ / temperature)[b_t] A_t in A_t stands beside that in Q~
        log_taken = (1 - shares).log()
        return -(batch.log_probs * advantages + self.weight * ((log_taken * advantages).sum(0))).mean() - (
            (batch.log_probs * (shaped - advantages).detach()).mean()
        )

    def _taken_probabilities(self, batch: Batch, returns: Tensor, discount: float) -> Tensor:
        """p_t, (n - 1, T, E): of what the others did, with its Q replaced by the return that followed."""
        following = torch.cat([returns[:, 1:], torch.zeros_like(returns[:, :1])], 1)
        taken = batch.other_actions.unsqueeze(-1)
        q_values = batch.other_q.scatter(-1, taken, (batch.other_rewards + discount * following).unsqueeze(-1))
        return torch.softmax(q_values / self.temperature, -1).gather(-1, taken).squeeze(-1)


def earlier_sums(values: Tensor, decay: float) -> Tensor:
    """sum_{t<k} decay^{k-1-t} x_t at each k: (..., T, E) -> (..., T, E)."""
    sums = _returns(values.flip(-2), decay).flip(-2)
    return torch.cat([torch.zeros_like(sums[..., :1, :]), sums[..., :-1, :]], -2)


def _returns(rewards: Tensor, discount: float) -> Tensor:
    """sum_{s>=t} discount^{s-t} r_s: (..., T, E) -> (..., T, E)."""
    times_first = rewards.movedim(-2, 0)
    flat = times_first.reshape(times_first.shape[0], -1)
    return ops.discounted_returns(flat, discount).view(times_first.shape).movedim(0, -2)
