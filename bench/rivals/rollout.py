"""An expert's rollout in eager PyTorch: no autograd, actor and critic in one batched product a step, buffers reused."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def eager(
    payoffs: Tensor, actor: list[Tensor], critic: list[Tensor], peer: Tensor, num_trajectories: int, horizon: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """States, actions (T, 2, K), rewards (T, 2, K), logits (T, K, 2), values (T, K) of one chain and two actions.

    actor and critic: gate table (1, S, 4N), recurrent weight, head weight and bias as mamrl.ops.lstm; peer: logits
    (1, S, 2) of a tabular player.
    """
    units = actor[1].shape[-1]
    tables = torch.stack([actor[0][0], critic[0][0]])
    recurrent = torch.stack([actor[1][0], critic[1][0]]).mT.contiguous()
    actor_head, critic_head = actor[2][0].T.contiguous(), critic[2][0].T.contiguous()
    defect_difference = (peer[0, :, 1] - peer[0, :, 0]).sigmoid()
    hidden = torch.zeros(2, num_trajectories, units)
    cell = torch.zeros_like(hidden)
    uniforms = torch.rand(horizon, 2, num_trajectories)
    states = torch.zeros(horizon, 2, num_trajectories, dtype=torch.int64)
    actions = torch.empty(horizon, 2, num_trajectories, dtype=torch.int64)
    logits = torch.empty(horizon, num_trajectories, 2)
    values = torch.empty(horizon, num_trajectories)
    own = peers = torch.zeros(num_trajectories, dtype=torch.int64)
    for t in range(horizon):
        states[t, 0], states[t, 1] = own, peers
        gates = torch.baddbmm(tables[:, own], hidden, recurrent)
        i, f, g, o = gates.split(units, dim=-1)
        cell = cell.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), g.tanh_())
        hidden = cell.tanh().mul_(o.sigmoid_())
        torch.addmm(actor[3][0], hidden[0], actor_head, out=logits[t])
        values[t] = torch.addmm(critic[3][0], hidden[1], critic_head).squeeze(-1)
        chosen = uniforms[t, 0] < (logits[t, :, 1] - logits[t, :, 0]).sigmoid_()
        peers_chosen = uniforms[t, 1] < defect_difference[peers]
        mine, theirs = chosen.long(), peers_chosen.long()
        actions[t, 0], actions[t, 1] = mine, theirs
        own, peers = 1 + 2 * mine + theirs, 1 + 2 * theirs + mine
    rewards = payoffs[:, actions[:, 0], actions[:, 1]].transpose(0, 1)
    return states, actions, rewards, logits, values
