"""One Meta-MAPG iteration in plain PyTorch, twice: as an expert writes it, and stepping as the published code does.

Both sample K trajectories at each of L + 1 positions of one chain (LSTM actor and critic against a tabular peer in the
prisoner's dilemma), adapt both agents by DiCE with a linear baseline between positions, and backpropagate the published
sum and the critic's loss. They share everything but how a trajectory is played and made differentiable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PAYOFFS = torch.tensor([[[0.5, -1.5], [1.5, -0.5]], [[0.5, 1.5], [-1.5, -0.5]]])
UNITS, STATES = 64, 5


@dataclass(frozen=True)
class Sizes:
    num_trajectories: int = 64
    horizon: int = 150
    chain_length: int = 7
    discount: float = 0.96
    gae_lambda: float = 0.95


@dataclass
class Play:
    """What was recorded, (T, K), and what is differentiable: log-probabilities of both and the critic's values."""

    states: tuple[Tensor, Tensor]
    actions: tuple[Tensor, Tensor]
    rewards: tuple[Tensor, Tensor]
    log_probs: tuple[Tensor, Tensor]
    values: Tensor
    entropy: Tensor


def initial_network(num_outputs: int) -> list[Tensor]:
    shapes = [(UNITS, STATES), (UNITS,), (4 * UNITS, UNITS), (4 * UNITS, UNITS), (4 * UNITS,), (num_outputs, UNITS)]
    tensors = [torch.nn.init.xavier_normal_(torch.empty(s)) if len(s) == 2 else torch.zeros(s) for s in shapes]
    return [*tensors, torch.zeros(num_outputs)]


def cell(preactivations: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = preactivations.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


# ---- the expert: play without a graph on a table of gates, then one differentiable pass over the record ----


def gate_table(network: list[Tensor]) -> Tensor:
    return F.relu(network[0].T + network[1]) @ network[2].T + network[4]


def sequence(network: list[Tensor], states: Tensor) -> Tensor:
    """Outputs (T, K, A) on recorded states; the head stays inside the loop, or its double backward fills zeros."""
    inputs = gate_table(network)[states].unbind(0)
    h = c = torch.zeros(states.shape[1], UNITS)
    outputs = []
    for x in inputs:
        h, c = cell(torch.addmm(x, h, network[3].T), c)
        outputs.append(torch.addmm(network[6], h, network[5].T))
    return torch.stack(outputs)


@torch.no_grad()
def record(actor: list[Tensor], peer: Tensor, sizes: Sizes) -> list[tuple[Tensor, Tensor]]:
    count = sizes.num_trajectories
    table, weight, head, bias = gate_table(actor), actor[3].T, actor[5].T, actor[6]
    cooperation = torch.sigmoid(peer)
    h = c = torch.zeros(count, UNITS)
    own = other = torch.zeros(count, dtype=torch.int64)
    draws = torch.rand(sizes.horizon, 2, count)
    states, actions = [], []
    for t in range(sizes.horizon):
        h, c = cell(torch.addmm(table[own], h, weight), c)
        logits = torch.addmm(bias, h, head)
        mine = (draws[t, 0] >= torch.sigmoid(logits[:, 0] - logits[:, 1])).long()
        theirs = (draws[t, 1] >= cooperation[other]).long()
        states.append(torch.stack([own, other]))
        actions.append(torch.stack([mine, theirs]))
        own, other = 1 + 2 * mine + theirs, 1 + 2 * theirs + mine
    s, a = torch.stack(states, 1), torch.stack(actions, 1)
    return [(s[0], s[1]), (a[0], a[1])]


def play_expert(actor: list[Tensor], critic: list[Tensor], peer: Tensor, sizes: Sizes) -> Play:
    states, actions = record(actor, peer, sizes)
    logits = sequence(actor, states[0])
    logs = F.log_softmax(logits, -1)
    own = logs.gather(-1, actions[0].unsqueeze(-1)).squeeze(-1)
    other = F.logsigmoid(peer[states[1]] * (1 - 2 * actions[1]))
    values = sequence(critic, states[0]).squeeze(-1)
    rewards = (PAYOFFS[0][actions[0], actions[1]], PAYOFFS[1][actions[0], actions[1]])
    return Play(states, actions, rewards, (own, other), values, -(logs.exp() * logs).sum(-1).mean())


# ---- shaped like the published code: one-hot observations, distributions and the graph at every step ----


def play_per_step(actor: list[Tensor], critic: list[Tensor], peer: Tensor, sizes: Sizes) -> Play:
    count = sizes.num_trajectories
    own = other = torch.zeros(count, dtype=torch.int64)
    carries = [(torch.zeros(count, UNITS), torch.zeros(count, UNITS)) for _ in range(2)]
    columns: list[list[Tensor]] = [[] for _ in range(10)]
    for _ in range(sizes.horizon):
        observation = F.one_hot(own, STATES).float()
        outputs = []
        for index, network in enumerate((actor, critic)):
            hidden = F.relu(F.linear(observation, network[0], network[1]))
            gates = F.linear(hidden, network[2], network[4]) + F.linear(carries[index][0], network[3])
            carries[index] = cell(gates, carries[index][1])
            outputs.append(F.linear(carries[index][0], network[5], network[6]))
        mine_distribution = torch.distributions.Categorical(logits=outputs[0])
        their_distribution = torch.distributions.Bernoulli(logits=F.one_hot(other, STATES).float() @ peer)
        mine, cooperates = mine_distribution.sample(), their_distribution.sample()
        theirs = 1 - cooperates.long()
        step = [own, other, mine, theirs, PAYOFFS[0][mine, theirs], PAYOFFS[1][mine, theirs]]
        step += [mine_distribution.log_prob(mine), their_distribution.log_prob(cooperates)]
        step += [outputs[1].squeeze(-1), mine_distribution.entropy()]
        for column, value in zip(columns, step, strict=True):
            column.append(value)
        own, other = 1 + 2 * mine + theirs, 1 + 2 * theirs + mine
    s0, s1, a0, a1, r0, r1, l0, l1, values, entropy = (torch.stack(column) for column in columns)
    return Play((s0, s1), (a0, a1), (r0, r1), (l0, l1), values, entropy.mean())


# ---- what both share: baseline, DiCE, the chain and the published sum ----


def linear_baseline(states: Tensor, rewards: Tensor, discount: float) -> Tensor:
    horizon, count = rewards.shape
    returns = discounted_sums(rewards, discount)
    time = (torch.arange(horizon) / 100).view(-1, 1, 1).expand(horizon, count, 1)
    observation = F.one_hot(states, STATES).float()
    features = torch.cat([observation, observation**2, time, time**2, time**3, torch.ones_like(time)], -1).double()
    x, y = features.view(horizon * count, -1), returns.reshape(-1, 1).double()
    solution = torch.linalg.solve(x.T @ x + 1e-5 * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)
    return (x @ solution).view(horizon, count).float()


def discounted_sums(x: Tensor, discount: float) -> Tensor:
    total, rows = torch.zeros_like(x[0]), []
    for row in x.flip(0).unbind(0):
        total = row + discount * total
        rows.append(total)
    return torch.stack(rows[::-1])


def dice(influence: Tensor, rewards: Tensor, baseline: Tensor, powers: Tensor) -> Tensor:
    def box(x: Tensor) -> Tensor:
        return torch.exp(x - x.detach())

    reinforced = box(influence.cumsum(0)) * powers * rewards
    return (reinforced + (1 - box(influence)) * powers * baseline).sum(0).mean()


def meta_iteration(
    play: Callable[[list[Tensor], list[Tensor], Tensor, Sizes], Play],
    actor: list[Tensor],
    critic: list[Tensor],
    peer: Tensor,
    sizes: Sizes,
    own_lr: float = 0.1,
    peer_lr: float = 1.0,
) -> list[Tensor]:
    """Gradients of one Meta-MAPG iteration in the actor's and the critic's initial parameters."""
    powers = (sizes.discount ** torch.arange(sizes.horizon)).view(-1, 1)
    start, plays = actor, []
    for position in range(sizes.chain_length + 1):
        plays.append(play(actor, critic, peer, sizes))
        if position == sizes.chain_length:
            break
        current = plays[-1]
        influence = current.log_probs[0] + current.log_probs[1]
        objectives = [
            dice(influence, r, linear_baseline(s, r, sizes.discount), powers)
            for s, r in zip(current.states, current.rewards, strict=True)
        ]
        own_gradients = torch.autograd.grad(objectives[0], actor, create_graph=True)
        (peer_gradient,) = torch.autograd.grad(objectives[1], peer, create_graph=True)
        actor = [p + own_lr * g for p, g in zip(actor, own_gradients, strict=True)]
        peer = peer + peer_lr * peer_gradient
    total, later = torch.zeros(()), torch.zeros(())
    critic_loss = torch.zeros(())
    for position in range(sizes.chain_length, -1, -1):
        current = plays[position]
        rewards, values = current.rewards[0], current.values.detach()
        deltas = rewards + sizes.discount * torch.cat([values[1:], torch.zeros_like(values[:1])]) - values
        if position > 0:
            later = later + discounted_sums(deltas, sizes.discount * sizes.gae_lambda)
            total = total + (later * (current.log_probs[0] + current.log_probs[1])).sum(0).mean()
        else:
            total = total + (later * current.log_probs[0]).sum(0).mean()
        critic_loss = critic_loss + (current.values - discounted_sums(rewards, sizes.discount)).square().mean()
    loss = critic_loss - total / (sizes.chain_length + 1) - 0.5 * plays[0].entropy
    return list(torch.autograd.grad(loss, start + critic))
