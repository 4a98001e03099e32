"""The three estimators of the meta-gradient, as surrogates whose gradient they are; docs/estimators.md derives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mamrl.games.base import Game
from mamrl.games.trajectories import Trajectories
from mamrl.meta.chain import Chain, Position, unroll
from mamrl.meta.objectives import advantages, linear_baseline
from mamrl.ops import reference
from mamrl.policies.base import Policy

if TYPE_CHECKING:
    from mamrl.meta.algorithm import Algorithm

Gather = Callable[[Tensor], Tensor]


def meta_objective(
    chain: Chain,
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    own_lr: Tensor,
    trajectories: Sequence[Trajectories],
    values: Sequence[Tensor] | None = None,
) -> Tensor:
    """The meta-gradient's surrogate (M,) as a function of given trajectories, parameters and learning rates.

    Its gradient in ``parameters[0]`` is the estimate of the meta-gradient; anyone can check it against an exact one, as
    tests/meta/test_meta_oracle.py does.

    Args:
        chain: its settings.
        game: the game that was played.
        policies: each agent's, the meta-agent's first.
        parameters: phi_0, each agent's rows (M, P_a).
        own_lr: (M, L).
        trajectories: tau_0..tau_L.
        values: the meta-agent's state values (T, M, K) at each position; None fits a linear baseline to each tau_l.

    Returns:
        (M,), differentiable in ``parameters[0]`` and ``own_lr``.

    Raises:
        ValueError: there are not L + 1 trajectories, or they do not fit the chain.
    """
    if len(trajectories) != chain.chain_length + 1:
        raise ValueError(f"got {len(trajectories)} trajectories, expected chain_length + 1 = {chain.chain_length + 1}")
    positions = unroll(chain, game, policies, parameters, own_lr, lambda position, _: trajectories[position])
    return surrogate(chain, positions, outer_advantages(chain, game, positions, values))


def outer_advantages(
    chain: Chain, game: Game, positions: Sequence[Position], values: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """The meta-agent's generalized advantages at each position, constants of the estimator.

    Args:
        chain: its discount, ``gae_lambda`` and ``discounted_outer``.
        game: the game that was played.
        positions: 0..L.
        values: state values (T, M, K) at each position; None fits a linear baseline to each tau_l.

    Returns:
        A_l (T, M, K) for each position.
    """
    result = []
    for index, position in enumerate(positions):
        states, rewards = position.trajectories.states[0], position.trajectories.rewards[0]
        if values is None:
            baseline = linear_baseline(states, rewards, game.num_states, chain.discount)
        else:
            baseline = values[index]
        advantage = advantages(rewards, baseline.detach(), chain.discount, chain.gae_lambda)
        if chain.discounted_outer:
            advantage = advantage * reference.discount_powers(advantage, chain.discount)
        result.append(advantage)
    return result


def as_it_is(numbers: Tensor) -> Tensor:
    """The chains at hand are the whole batch."""
    return numbers


def surrogate(
    chain: Chain,
    positions: Sequence[Position],
    weights: Sequence[Tensor],
    terms: Algorithm | None = None,
    whole_batch: Gather = as_it_is,
) -> Tensor:
    """The estimator's sum of weighted log-probabilities; docs/estimators.md has each estimator's equation.

    Args:
        chain: its algorithm and estimator.
        positions: 0..L.
        weights: outer advantages (T, M, K) at each position.
        terms: which of the sum's terms to take; None is the algorithm's.
        whole_batch: these chains' numbers (M,) -> those of all that an iteration plays, for a baseline across chains.

    Returns:
        (M,), one objective a chain.
    """
    terms = chain.terms if terms is None else terms
    own = [position.log_probs[0] for position in positions]
    peers = [sum(position.log_probs[1:], torch.zeros_like(own[0])) for position in positions]
    if not terms.meta:
        return _aligned(weights[0], own[0])
    if chain.estimator == "published":
        return _published(chain, terms, own, peers, weights)
    if chain.estimator == "expected":
        return _expected(chain, terms, own, peers, weights)
    return _sampled(chain, terms, own, positions, weights, whole_batch)


def _published(
    chain: Chain, terms: Algorithm, own: Sequence[Tensor], peers: Sequence[Tensor], weights: Sequence[Tensor]
) -> Tensor:
    """sum_{m=1..L} mean_k sum_t A_m (own_0 + sum_{l=1..m} own_l + sum_{l=1..m} peers_l) / (L + 1).

    By linearity position l needs one weight, sum_{m >= max(l, 1)} A_m.
    """
    total = torch.zeros_like(weights[0][0, :, 0])
    later = torch.zeros_like(weights[0])
    for position in range(chain.chain_length, -1, -1):
        if position > 0:
            later = later + weights[position]
        if position == 0 or terms.own_learning:
            total = total + _aligned(later, own[position])
        if position > 0 and terms.peer_learning:
            total = total + _aligned(later, peers[position])
    return total / (chain.chain_length + 1)


def _expected(
    chain: Chain, terms: Algorithm, own: Sequence[Tensor], peers: Sequence[Tensor], weights: Sequence[Tensor]
) -> Tensor:
    """sum_{m=1..L} mean_k sum_t A_m (own_m + peers_m): phi_{l+1} is a function of the expected gradient."""
    total = torch.zeros_like(weights[0][0, :, 0])
    for position in range(1, chain.chain_length + 1):
        if terms.own_learning:
            total = total + _aligned(weights[position], own[position])
        if terms.peer_learning:
            total = total + _aligned(weights[position], peers[position])
    return total


def _sampled(
    chain: Chain,
    terms: Algorithm,
    own: Sequence[Tensor],
    positions: Sequence[Position],
    weights: Sequence[Tensor],
    whole_batch: Gather,
) -> Tensor:
    """phi_{l+1} is a function of the K trajectories drawn, whose probability phi_0 changes.

    Position l's own log-probability of all K trajectories is weighed by the mean return of every later tau_m less a
    baseline, the mean over the other chains; at l = m each trajectory's by its own advantages. The peers' sum is zero.
    """
    total = torch.zeros_like(weights[0][0, :, 0])
    later = torch.zeros_like(total)
    for position in range(chain.chain_length, -1, -1):
        if position > 0 and terms.own_learning:
            total = total + _aligned(weights[position], own[position])
        if position == 0 or terms.own_learning:
            total = total + later * own[position].sum((0, 2))
        rewards = positions[position].trajectories.rewards[0]
        returns = len(rewards) * means_by_chain(rewards * reference.discount_powers(rewards, chain.discount))
        everyone = whole_batch(returns) if chain.cross_chain_baseline else returns[:1]
        if len(everyone) > 1:
            returns = returns - (everyone.sum() - returns) / (len(everyone) - 1)
        later = later + returns
    return total


def means_by_chain(numbers: Tensor) -> Tensor:
    """Each chain's mean over time and trajectories, (T, M, K) -> (M,), whatever other chains are beside it."""
    return numbers.double().transpose(0, 1).flatten(1).mean(1).to(numbers.dtype)


def _aligned(weights: Tensor, log_probs: Tensor) -> Tensor:
    """mean_k sum_t of weights times log-probabilities, time by time and trajectory by trajectory: (T, M, K) -> (M,)."""
    return (weights * log_probs).sum(0).mean(-1)
