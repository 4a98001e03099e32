"""Meta-MAPG in eager torch, chains batched: the same estimator as chain_jax.py, as one writes it for autograd.

Sampling runs without a graph; one differentiable pass over what was recorded follows. Sums over time are products with
small triangular matrices, the LSTM's chains one batched product a step. Compiled, a step of sampling is one kernel, and
so is a position of a table's chain; the LSTM's differentiable pass stays eager.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mamrl.config import Experiment
from mamrl.policies import LSTMNetwork

STATES = 5


class Record(NamedTuple):
    """What was played at a position: states and actions (T, 2, M, K), each player's own view."""

    states: Tensor
    actions: Tensor


class Sums(NamedTuple):
    """See chain_jax.Sums; the last are the baseline's polynomials in time (T, 3)."""

    outer_gae: Tensor
    inner_gae: Tensor
    returns: Tensor
    so_far: Tensor
    from_here: Tensor
    powers: Tensor
    polynomials: Tensor


def sums_over_time(experiment: Experiment) -> Sums:
    steps = np.arange(experiment.horizon)
    ahead = steps[None, :] - steps[:, None]

    def decayed(weight: float) -> Tensor:
        return torch.tensor(np.where(ahead >= 0, weight ** np.maximum(ahead, 0), 0.0), dtype=torch.float32)

    discount = experiment.discount
    polynomials = np.polynomial.legendre.legvander(np.linspace(-1, 1, experiment.horizon), 3)[:, 1:]
    return Sums(
        decayed(discount * experiment.gae_lambda),
        decayed(discount * experiment.inner_gae_lambda),
        decayed(discount),
        decayed(1.0).T.contiguous(),
        decayed(1.0),
        torch.tensor(discount**steps, dtype=torch.float32).view(-1, 1, 1),
        torch.tensor(polynomials, dtype=torch.float32),
    )


def over_time(matrix: Tensor, numbers: Tensor) -> Tensor:
    """(T, T) times (T, M, K)."""
    return (matrix @ numbers.flatten(1)).view_as(numbers)


def look_up(table: Tensor, states: Tensor) -> Tensor:
    """(M, S), (T, M, K) -> (T, M, K)."""
    count = states.shape[-1]
    return table.gather(1, states.transpose(0, 1).flatten(1)).view(-1, len(states), count).transpose(0, 1)


def log_prob(difference: Tensor, actions: Tensor) -> Tensor:
    return F.logsigmoid(difference * (1 - 2 * actions))


# ---- the LSTM ----


def gates_of(network: LSTMNetwork, own: Tensor) -> tuple[Tensor, ...]:
    """Gate table (M, S, 4N), recurrent weight (M, N, 4N), and the head's difference of logits (M, N, 1), (M, 1)."""
    w_in, b_in, w_gates, w_recurrent, b_gates, w_head, b_head = network.weights(own)
    table = torch.relu(w_in.mT + b_in.unsqueeze(1)) @ w_gates.mT + b_gates.unsqueeze(1)
    return table, w_recurrent.mT, (w_head[:, 0] - w_head[:, 1]).unsqueeze(-1), b_head[:, :1] - b_head[:, 1:]


def cell(inputs: Tensor, recurrent: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = torch.baddbmm(inputs, hidden, recurrent).chunk(4, dim=-1)
    memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


def inputs_of(table: Tensor, states: Tensor) -> Tensor:
    """(M, S, 4N), (M, K) -> (M, K, 4N)."""
    return table.gather(1, states.unsqueeze(-1).expand(-1, -1, table.shape[-1]))


def lstm_difference(network: LSTMNetwork, own: Tensor, states: Tensor) -> Tensor:
    """Differences of the logits (T, M, K) on recorded states, differentiable."""
    table, recurrent, head, bias = gates_of(network, own)
    chains, count = states.shape[1:]
    every = inputs_of(table, states.transpose(0, 1).flatten(1)).view(chains, len(states), count, -1)
    hidden = memory = table.new_zeros(chains, count, network.hidden_size)
    differences = []
    for inputs in every.unbind(1):
        hidden, memory = cell(inputs, recurrent, hidden, memory)
        differences.append(torch.baddbmm(bias.unsqueeze(1), hidden, head).squeeze(-1))
    return torch.stack(differences)


def lstm_step(
    table: Tensor,
    recurrent: Tensor,
    head: Tensor,
    bias: Tensor,
    peer: Tensor,
    draws: Tensor,
    states: Tensor,
    hidden: Tensor,
    memory: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A step of sampling: the joint action and the next states (2, M, K), and the LSTM's memory."""
    hidden, memory = cell(inputs_of(table, states[0]), recurrent, hidden, memory)
    own = torch.baddbmm(bias.unsqueeze(1), hidden, head).squeeze(-1)
    joint, states = act(torch.stack([own, peer.gather(1, states[1])]), draws)
    return joint, states, hidden, memory


def table_step(tables: Tensor, draws: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    return act(tables.gather(2, states), draws)


def act(difference: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    joint = (draws >= torch.sigmoid(difference)).long()
    return joint, 1 + 2 * joint + joint.flip(0)


# ---- what is learnt from a position ----


def linear_baseline(sums: Sums, states: Tensor, returns: Tensor) -> Tensor:
    """Returns (T, M, K) fitted by state and a cubic in time, a fit a chain; see chain_jax.linear_baseline."""
    horizon, chains, count = states.shape
    in_time = sums.polynomials.view(horizon, 1, 1, 3).expand(-1, chains, count, -1)
    features = torch.cat([F.one_hot(states, STATES).float(), in_time], -1).transpose(0, 1).reshape(chains, -1, 8)
    target = returns.transpose(0, 1).reshape(chains, -1, 1)
    gram = features.mT @ features + 1e-5 * torch.eye(8)
    solution = torch.linalg.solve(gram, features.mT @ target)
    return (features @ solution).view(chains, horizon, count).transpose(0, 1)


def advantages(sums: Sums, gae: Tensor, states: Tensor, rewards: Tensor, discount: float) -> Tensor:
    values = linear_baseline(sums, states, over_time(sums.returns, rewards))
    following = torch.cat([values[1:], torch.zeros_like(values[:1])])
    return over_time(gae, rewards + discount * following - values)


def influence_weights(sums: Sums, influence: Tensor, weights: Tensor) -> Tensor:
    """See chain_jax.influence_weights."""
    moved = influence - influence.detach()
    later = over_time(sums.from_here, weights * moved) - weights * moved
    return (weights * (1 + over_time(sums.so_far, moved)) + later) / weights.shape[-1]


# ---- the chain ----


class Trainer:
    """The library's learner in torch: gradients of a batch of chains, clipped, averaged, and Adam's steps."""

    def __init__(
        self, experiment: Experiment, payoffs: Tensor, network: LSTMNetwork | None, compiled: bool = False
    ) -> None:
        self.experiment, self.payoffs, self.network = experiment, payoffs, network
        self.sums = sums_over_time(experiment)
        self.lstm_step: Callable[..., Any] = torch.compile(lstm_step) if compiled else lstm_step
        self.table_step: Callable[..., Any] = torch.compile(table_step) if compiled else table_step
        # its inner derivative is traced by torch.func, so that only one backward is left to the compiler; of the LSTM
        # that would be 150 steps of it unrolled, which take longer to compile than to train
        self.differentiable: Callable[..., Any] = torch.compile(self.link) if compiled and not network else self.link

    def start(self, own: Tensor) -> None:
        experiment = self.experiment
        self.own = own.clone()
        self.rates = torch.full((experiment.chain_length,), experiment.own_lr)
        self.adams = [
            torch.optim.Adam([self.own], lr=experiment.actor_lr),
            torch.optim.Adam([self.rates], lr=experiment.own_lr_lr),
        ]

    @torch.no_grad()
    def sample(self, own: Tensor, peer: Tensor) -> Record:
        experiment, chains = self.experiment, len(own)
        draws = torch.rand(experiment.horizon, 2, chains, experiment.num_trajectories)
        joint_states = torch.zeros(2, chains, experiment.num_trajectories, dtype=torch.int64)
        states, actions = [], []
        if self.network is None:
            tables = torch.stack([own, peer])
        else:
            weights = gates_of(self.network, own)
            hidden = memory = torch.zeros(chains, experiment.num_trajectories, self.network.hidden_size)
        for row in draws.unbind(0):
            states.append(joint_states)
            if self.network is None:
                joint, joint_states = self.table_step(tables, row, joint_states)
            else:
                joint, joint_states, hidden, memory = self.lstm_step(*weights, peer, row, joint_states, hidden, memory)
            actions.append(joint)
        return Record(torch.stack(states), torch.stack(actions))

    def link(
        self, own: Tensor, peer: Tensor, rate: Tensor | None, states: Tensor, joint: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A position on what was recorded there: the surrogate (M,), both agents' next parameters, the mean reward.

        Without a rate (M, 1) nobody learns.
        """
        rewards = self.payoffs[:, joint[:, 0], joint[:, 1]]

        def own_log_probs(parameters: Tensor) -> Tensor:
            if self.network is None:
                return log_prob(look_up(parameters, states[:, 0]), joint[:, 0])
            return log_prob(lstm_difference(self.network, parameters, states[:, 0]), joint[:, 0])

        def peer_log_probs(parameters: Tensor) -> Tensor:
            return log_prob(look_up(parameters, states[:, 1]), joint[:, 1])

        own_log, own_pullback = torch.func.vjp(own_log_probs, own)
        peer_log, peer_pullback = torch.func.vjp(peer_log_probs, peer)
        influence = own_log + peer_log
        discount, sums = self.experiment.discount, self.sums
        outer = advantages(sums, sums.outer_gae, states[:, 0], rewards[0], discount)
        surrogate, mean = (outer * influence).sum(0).mean(-1), rewards[0].mean()
        if rate is None:
            return surrogate, own, peer, mean
        steps = []
        for player, pullback in enumerate((own_pullback, peer_pullback)):
            inner = advantages(sums, sums.inner_gae, states[:, player], rewards[player], discount)
            steps.append(pullback(influence_weights(sums, influence, sums.powers * inner))[0])
        return surrogate, own + rate * steps[0], peer + self.experiment.peer_lr * steps[1], mean

    def objective(
        self, own: Tensor, rates: Tensor, peer: Tensor, records: Sequence[Record] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """The surrogate's sum over chains, and mean rewards by position; samples where there are no records."""
        total, means = torch.zeros(()), []
        for position in range(self.experiment.chain_length + 1):
            states, joint = records[position] if records else self.sample(own, peer)
            rate = rates[:, position : position + 1] if position < rates.shape[1] else None
            surrogate, own, peer, mean = self.differentiable(own, peer, rate, states, joint)
            means.append(mean)
            if position > 0:
                total = total + surrogate.sum()
        return total, means

    def gradients(self, peer: Tensor, records: Sequence[Record] = ()) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Each chain's gradients in phi_0^i (M, P) and in the learning rates (M, L), and mean rewards."""
        own = self.own.expand(len(peer), -1).clone().requires_grad_()
        rates = self.rates.expand(len(peer), -1).clone().requires_grad_()
        total, means = self.objective(own, rates, peer, records)
        return *torch.autograd.grad(total, [own, rates]), means

    def step(self, peer: Tensor) -> list[Tensor]:
        """One meta-iteration; returns mean rewards by position."""
        experiment = self.experiment
        own, rates, means = self.gradients(peer)
        rows = torch.cat([own, rates], dim=1)
        norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        if experiment.chain_grad_clip:
            rows = rows * (experiment.chain_grad_clip / norms.clamp(min=experiment.chain_grad_clip))
        finite = norms.isfinite()
        mean = torch.where(finite, rows, 0.0).sum(0) / finite.sum().clamp(min=1)
        mean = mean * (experiment.grad_clip / torch.linalg.vector_norm(mean)).clamp(max=1.0)
        gradients = mean.split([own.shape[1], rates.shape[1]])
        for adam, parameter, gradient in zip(self.adams, (self.own, self.rates), gradients, strict=True):
            parameter.grad = -gradient
            adam.step()
        return means
