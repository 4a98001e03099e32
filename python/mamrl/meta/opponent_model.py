"""Decentralised meta-training: peers' parameters inferred from what they do (Kim et al. 2021, appendix D.1).

The chain is played by the true peers. The peer-learning gradient runs through a model of them instead: at each position
the tabular policy that makes the observed actions most likely, moved as the peers' own learning rule would move it.
Rewards and learning rates of peers are taken as known, as in Foerster et al. 2018 (LOLA, section 4.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.games.base import Game
from mamrl.games.trajectories import Trajectories
from mamrl.meta.algorithm import Algorithm, Problem
from mamrl.meta.chain import Chain, Position, Sampler, unroll
from mamrl.policies import Policy, TabularPolicy
from mamrl.policies.checks import own_trajectories

# actions' worth of belief in the predicted policy: it decides the states that the trajectories never visited
PRIOR_WEIGHT = 1.0


def infer_parameters(policy: TabularPolicy, states: Tensor, actions: Tensor, prior: Tensor) -> Tensor:
    """The most probable tabular policy behind recorded actions.

    Counts of actions by state, to which a prediction is added with the weight w of ``PRIOR_WEIGHT`` actions:
    p(a | s) = (count(s, a) + w prior(a | s)) / (count(s) + w). As trajectories grow it is the maximum of the
    likelihood.

    Args:
        policy: the peer's.
        states: (T, M, K) int64, from the peer's own side.
        actions: (T, M, K) int64.
        prior: rows (M, P) of the policy that was expected.

    Returns:
        Rows (M, P), without a graph.
    """
    chains = states.shape[1]
    cells = policy.num_states * policy.num_actions
    index = (states * policy.num_actions + actions).transpose(0, 1).flatten(1)
    counts = prior.new_zeros(chains, cells).scatter_add_(1, index, prior.new_ones(()).expand_as(index))
    counts = counts.view(chains, policy.num_states, policy.num_actions)
    expected = torch.softmax(policy.table(prior.detach()), dim=-1)
    # a probability that underflows to zero has no finite logit
    expected = expected.clamp(min=torch.finfo(expected.dtype).eps)
    probabilities = (counts + PRIOR_WEIGHT * expected) / (counts.sum(-1, keepdim=True) + PRIOR_WEIGHT)
    with own_trajectories():
        return policy.parameters_of(probabilities)


def unroll_with_opponent_model(
    chain: Chain,
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    own_lr: Tensor,
    sampler: Sampler,
) -> list[Position]:
    """:func:`mamrl.meta.chain.unroll` with the true peers playing and inferred ones in the graph.

    At position l the model's parameters have the value that was inferred from tau_l, and the derivative in phi_0^i of
    the step that led from the model at l - 1.

    Args:
        chain: its settings.
        game: the game that is played.
        policies: each agent's, the meta-agent's first; the peers' tabular.
        parameters: phi_0, each agent's rows (M, P_a); of the peers' only the play is used.
        own_lr: the meta-agent's inner learning rate by position, (M, L).
        sampler: (position, joint parameters) -> trajectories.

    Raises:
        TypeError: a peer's policy is not tabular.
    """
    for policy in policies[1:]:
        if not isinstance(policy, TabularPolicy):
            raise TypeError(f"a peer's policy is a {type(policy).__name__}, expected a TabularPolicy to infer")
    played: list[Trajectories] = []

    def play_and_keep(position: int, rows: Sequence[Tensor]) -> Trajectories:
        played.append(sampler(position, rows))
        return played[-1]

    unroll(chain, game, policies, [row.detach() for row in parameters], own_lr.detach(), play_and_keep, False)

    def infer(rows: Sequence[Tensor], trajectories: Trajectories) -> list[Tensor]:
        modelled = [rows[0]]
        for peer in range(1, len(rows)):
            policy, row = policies[peer], rows[peer]
            assert isinstance(policy, TabularPolicy)
            inferred = infer_parameters(policy, trajectories.states[peer], trajectories.actions[peer], row)
            modelled.append(inferred + (row - row.detach()))
        return modelled

    unknown = [torch.zeros_like(row) for row in parameters[1:]]
    return unroll(
        chain, game, policies, [parameters[0], *unknown], own_lr, lambda position, _: played[position], peer_model=infer
    )


@dataclass(frozen=True)
class WithOpponentModel(Algorithm):
    """An algorithm whose peer-learning gradient runs through a model of the peers."""

    def play_chain(self, problem: Problem) -> list[Position]:
        """See :meth:`mamrl.meta.algorithm.Algorithm.play_chain`."""
        return unroll_with_opponent_model(
            problem.chain, problem.game, problem.policies, problem.parameters, problem.own_lr, problem.sampler
        )
