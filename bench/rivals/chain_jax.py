"""Meta-MAPG in JAX: one chain as a pure function, `lax.scan` over time and positions, `vmap` over chains, all jitted.

The estimator is the preset's ("expected", loaded DiCE, linear critic; docs/estimators.md), and the parameters are the
library's flat vectors. What makes it quick on a CPU: a position's log-probabilities come out of the scan that samples,
with their pullback, so that the inner gradient is one backward pass; sums over time are products with small triangular
matrices; look-ups of a state are products with one-hot rows, whose derivative needs no scatter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from mamrl.config import Experiment
from mamrl.policies import LSTMNetwork

STATES = 5
Array = Any


class Play(NamedTuple):
    """One position: states and rewards (2, T, K) by player, the own side first."""

    states: Array
    rewards: Array


class Sums(NamedTuple):
    """Matrices (T, T) that sum over time: GAE's decayed sum, returns, the sum so far and from here on, and powers."""

    outer_gae: Array
    inner_gae: Array
    returns: Array
    so_far: Array
    from_here: Array
    powers: Array


def sums_over_time(experiment: Experiment) -> Sums:
    steps = np.arange(experiment.horizon)
    ahead = steps[None, :] - steps[:, None]

    def decayed(weight: float) -> Array:
        return jnp.asarray(np.where(ahead >= 0, weight ** np.maximum(ahead, 0), 0.0), jnp.float32)

    discount = experiment.discount
    return Sums(
        decayed(discount * experiment.gae_lambda),
        decayed(discount * experiment.inner_gae_lambda),
        decayed(discount),
        decayed(1.0).T,
        decayed(1.0),
        jnp.asarray(discount**steps, jnp.float32)[:, None],
    )


# ---- play ----


def gate_table(network: LSTMNetwork, flat: Array) -> tuple[Array, ...]:
    """What a state adds to the gates (S, 4N), recurrent weight, head weight and bias, of flat parameters (P,)."""
    pieces, first = [], 0
    for shape in network.shapes():
        size = int(np.prod(shape))
        pieces.append(flat[first : first + size].reshape(shape))
        first += size
    w_in, b_in, w_gates, w_recurrent, b_gates, w_head, b_head = pieces
    return jax.nn.relu(w_in.T + b_in) @ w_gates.T + b_gates, w_recurrent, w_head, b_head


def next_states(actions: Array) -> Array:
    """(2, K) actions -> (2, K) states, each from its own side."""
    return 1 + 2 * actions + actions[::-1]


def one_hot(states: Array) -> Array:
    return jax.nn.one_hot(states, STATES, dtype=jnp.float32)


def chosen(difference: Array, draws: Array) -> Array:
    """Action 1 where a draw reaches the probability of action 0, of the difference of the two logits.

    A draw of -1 is action 0 for certain, one of 2 action 1: so are given actions replayed.
    """
    return (draws >= jax.nn.sigmoid(difference)).astype(jnp.int32)


def log_prob(difference: Array, actions: Array) -> Array:
    return jax.nn.log_sigmoid(difference * (1 - 2 * actions))


def play_lstm(network: LSTMNetwork, own: Array, peer: Array, draws: Array) -> Any:
    """Own log-probabilities (T, K), differentiable, and beside them states and actions (T, 2, K)."""
    table, recurrent, head, bias = gate_table(network, own)
    towards_first, offset = head[0] - head[1], bias[0] - bias[1]
    peer_difference = lax.stop_gradient(peer)

    def step(carry: Any, draw: Array) -> Any:
        hidden, cell, states = carry
        gates = one_hot(states[0]) @ table + hidden @ recurrent.T
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        difference = hidden @ towards_first + offset
        both = jnp.stack([lax.stop_gradient(difference), one_hot(states[1]) @ peer_difference])
        joint = chosen(both, draw)
        return (hidden, cell, next_states(joint)), (log_prob(difference, joint[0]), states, joint)

    count = draws.shape[-1]
    zeros = jnp.zeros((count, network.hidden_size))
    start = (zeros, zeros, jnp.zeros((2, count), jnp.int32))
    _, (log_probs, states, joint) = lax.scan(step, start, draws)
    return log_probs, (states, joint)


def play_table(own: Array, peer: Array, draws: Array) -> Any:
    """The same of a table of logits: the scan only samples."""
    tables = lax.stop_gradient(jnp.stack([own, peer]))

    def step(states: Array, draw: Array) -> Any:
        joint = chosen(jnp.einsum("pks,ps->pk", one_hot(states), tables), draw)
        return next_states(joint), (states, joint)

    _, (states, joint) = lax.scan(step, jnp.zeros(draws.shape[1:], jnp.int32), draws)
    return log_prob(one_hot(states[:, 0]) @ own, joint[:, 0]), (states, joint)


# ---- what is learnt from a position ----


def linear_baseline(states: Array, returns: Array) -> Array:
    """Returns (T, K) fitted by state and a cubic in time.

    The library's features span the same, but for their ridge; in orthogonal polynomials the normal equations are good
    enough for float32.
    """
    horizon, count = states.shape
    time = np.polynomial.legendre.legvander(np.linspace(-1, 1, horizon), 3)[:, 1:]
    in_time = jnp.broadcast_to(jnp.asarray(time, jnp.float32)[:, None], (horizon, count, 3))
    features = jnp.concatenate([one_hot(states), in_time], -1).reshape(horizon * count, -1)
    gram = features.T @ features + 1e-5 * jnp.eye(features.shape[1])
    solution = jax.scipy.linalg.solve(gram, features.T @ returns.reshape(-1), assume_a="pos")
    return (features @ solution).reshape(horizon, count)


def advantages(gae: Array, returns: Array, states: Array, rewards: Array, discount: float) -> Array:
    values = linear_baseline(states, returns @ rewards)
    following = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
    return gae @ (rewards + discount * following - values)


def influence_weights(sums: Sums, influence: Array, weights: Array) -> Array:
    """The derivative of loaded DiCE's objective in the log-probabilities (T, K), itself differentiable in them.

    At its value it is the weights' mean over trajectories; its derivative in D_u is the weight at max(t, u).
    """
    moved = influence - lax.stop_gradient(influence)
    return (weights * (1 + sums.so_far @ moved) + sums.from_here @ (weights * moved) - weights * moved) / weights.shape[
        1
    ]


# ---- the chain ----


def chain_objective(
    experiment: Experiment, payoffs: Array, network: LSTMNetwork | None, sums: Sums
) -> Callable[..., tuple[Array, Array]]:
    """One chain's surrogate, and the mean reward by position, as a function of phi_0^i, its learning rates, the peer's
    phi_0 and draws (L + 1, T, 2, K)."""
    discount, peer_lr = experiment.discount, experiment.peer_lr
    play_own = play_table if network is None else partial(play_lstm, network)

    def position(own: Array, peer: Array, draws: Array) -> Any:
        own_log, own_pullback, (states, joint) = jax.vjp(
            lambda parameters: play_own(parameters, peer, draws), own, has_aux=True
        )
        peer_log, peer_pullback = jax.vjp(
            lambda parameters: log_prob(one_hot(states[:, 1]) @ parameters, joint[:, 1]), peer
        )
        rewards = payoffs[:, joint[:, 0], joint[:, 1]]
        played = Play(states.swapaxes(0, 1), rewards)
        outer = advantages(sums.outer_gae, sums.returns, played.states[0], rewards[0], discount)
        surrogate = (outer * (own_log + peer_log)).sum(0).mean()
        return surrogate, played, own_log + peer_log, own_pullback, peer_pullback

    def learn(played: Play, influence: Array, pullback: Any, player: int) -> Array:
        inner = advantages(sums.inner_gae, sums.returns, played.states[player], played.rewards[player], discount)
        return pullback(influence_weights(sums, influence, sums.powers * inner))[0]

    def link(carry: Any, given: Any) -> Any:
        own, peer = carry
        rate, draws = given
        surrogate, played, influence, own_pullback, peer_pullback = position(own, peer, draws)
        own = own + rate * learn(played, influence, own_pullback, 0)
        peer = peer + peer_lr * learn(played, influence, peer_pullback, 1)
        return (own, peer), (surrogate, played.rewards[0].mean())

    def objective(own: Array, rates: Array, peer: Array, draws: Array) -> Any:
        (own, peer), (surrogates, rewards) = lax.scan(link, (own, peer), (rates, draws[:-1]))
        surrogate, played, *_ = position(own, peer, draws[-1])
        return surrogates[1:].sum() + surrogate, jnp.append(rewards, played.rewards[0].mean())

    return objective


class State(NamedTuple):
    """Of a training: phi_0^i, its learning rates, and the optimisers' memories."""

    own: Array
    rates: Array
    own_memory: Any
    rates_memory: Any


class Trainer:
    """The library's learner in JAX: gradients of a batch of chains, clipped, averaged, and Adam's steps.

    Attributes:
        gradients: (phi_0^i, rates, peers (M, S), draws (M, L + 1, T, 2, K)) -> each chain's gradients in phi_0^i and
            rates, and rewards (M, L + 1).
    """

    def __init__(
        self, experiment: Experiment, payoffs: np.ndarray, network: LSTMNetwork | None, over_chains: str = "vmap"
    ) -> None:
        self.experiment = experiment
        objective = chain_objective(experiment, jnp.asarray(payoffs), network, sums_over_time(experiment))
        chain_gradient = jax.grad(objective, argnums=(0, 1), has_aux=True)

        def one_after_the_other(own: Array, rates: Array, peers: Array, draws: Array) -> Any:
            return lax.map(lambda chain: chain_gradient(own, rates, *chain), (peers, draws))

        together = jax.vmap(chain_gradient, in_axes=(None, None, 0, 0))
        self.gradients = jax.jit(together if over_chains == "vmap" else one_after_the_other)
        self.own_adam, self.rates_adam = optax.adam(experiment.actor_lr), optax.adam(experiment.own_lr_lr)
        self.draws, self.ascend = jax.jit(self._draws), jax.jit(self._ascend)

    def start(self, own: np.ndarray) -> State:
        own, rates = jnp.asarray(own), jnp.full(self.experiment.chain_length, self.experiment.own_lr)
        return State(own, rates, self.own_adam.init(own), self.rates_adam.init(rates))

    def _draws(self, key: Array) -> Array:
        e = self.experiment
        return jax.random.uniform(key, (e.chains, e.chain_length + 1, e.horizon, 2, e.num_trajectories))

    def step(self, state: State, peers: Array, key: Array) -> tuple[State, Array]:
        """One meta-iteration: the next state, and mean rewards by position."""
        gradients, rewards = self.gradients(state.own, state.rates, peers, self.draws(key))
        return self.ascend(state, *gradients), rewards.mean(0)

    def _ascend(self, state: State, own: Array, rates: Array) -> State:
        size = own.shape[1]
        rows = jnp.concatenate([own, rates], axis=1)
        norms = jnp.linalg.norm(rows, axis=1, keepdims=True)
        finite = jnp.isfinite(norms)
        if self.experiment.chain_grad_clip:
            rows = rows * (self.experiment.chain_grad_clip / jnp.maximum(norms, self.experiment.chain_grad_clip))
        mean = jnp.where(finite, rows, 0).sum(0) / jnp.maximum(finite.sum(), 1)
        mean = mean * jnp.minimum(self.experiment.grad_clip / jnp.linalg.norm(mean), 1.0)
        # optax descends
        own_update, own_memory = self.own_adam.update(-mean[:size], state.own_memory)
        rates_update, rates_memory = self.rates_adam.update(-mean[size:], state.rates_memory)
        return State(state.own + own_update, state.rates + rates_update, own_memory, rates_memory)
