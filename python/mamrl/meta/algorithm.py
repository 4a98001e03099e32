"""An algorithm: what it samples in an iteration, what it maximises, and how its agent steps in the chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from mamrl.games.base import Game
from mamrl.meta.chain import Chain, OwnGradient, Position, Sampler, unroll
from mamrl.meta.estimators import Gather, as_it_is, means_by_chain, outer_advantages, surrogate
from mamrl.policies.base import Policy

AnyChain = TypeVar("AnyChain", bound=Chain)
# (first, count) -> a sampler of ``count`` positions, whose streams come after all that stand before ``first``
Simulations = Callable[[int, int], Sampler]


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of chains, as an algorithm is handed it.

    Attributes:
        chain: what the chain's length, estimator and rates are.
        game: what is played.
        policies: each agent's, the meta-agent's first.
        parameters: phi_0, each agent's rows (M, P_a); the meta-agent's is differentiated in.
        own_lr: its inner learning rate by position, (M, L); likewise.
        sampler: (position, joint parameters) -> trajectories, for as many positions as :meth:`Algorithm.num_samples`.
        has_critic: whether the sampler's trajectories carry values of a network; else a linear fit stands for them.
        whole_batch: (m,) numbers of these chains -> (M,) of all that an iteration plays, in order: the same, unless
            other processes play some of them.
    """

    chain: Chain
    game: Game
    policies: Sequence[Policy]
    parameters: Sequence[Tensor]
    own_lr: Tensor
    sampler: Sampler
    has_critic: bool = False
    whole_batch: Gather = as_it_is


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an algorithm makes of a batch of chains.

    Attributes:
        objective: (M,), whose gradient in phi_0^i and the own learning rates is ascended.
        rewards: the meta-agent's mean reward a step by position and chain, (L + 1, M), or by position alone, (L + 1,);
            without a graph, for logs.
        positions: of a sampled chain: a value network is fitted to what was played there, and an entropy bonus is that
            of the first. Empty where there is neither.
    """

    objective: Tensor
    rewards: Tensor
    positions: Sequence[Position] = ()


@dataclass(frozen=True)
class Algorithm:
    """A meta-gradient on the sampled chain, by which of its terms it keeps (Kim et al. 2021, equation 4).

    Attributes:
        own_learning: the meta-agent's log-probabilities at l >= 1, through its own inner steps.
        peer_learning: the peers' log-probabilities at l >= 1, through their inner steps.
        peer_influence: inner objectives carry the other agents' influence, so that peers' steps depend on phi_0^i.
        meta: False for agents that are trained for their return over tau_0 alone, or after simulated steps of peers.
    """

    own_learning: bool = True
    peer_learning: bool = True
    peer_influence: bool = True
    meta: bool = True

    @property
    def is_its_terms(self) -> bool:
        """Whether the terms say all: the exact chain and the opponent model can then be played by them."""
        return type(self) is Algorithm

    @property
    def waits_for_its_device(self) -> str:
        """What in its iterations waits for the device, so that they cannot be recorded, as a sentence; or nothing."""
        return ""

    def trained_on(self, chain: AnyChain) -> AnyChain:
        """The chain that it is trained on: agents that do not meta-learn train on tau_0, and play on to tau_1."""
        return chain if self.meta else replace(chain, chain_length=1)

    def num_samples(self, chain: Chain) -> int:
        """How many trajectories a chain samples in an iteration."""
        return 1 + chain.chain_length

    def objective(self, problem: Problem) -> Outcome:
        """What is maximised, as a function of the meta-agent's parameters and learning rates."""
        positions = self.play_chain(problem)
        played = [position.trajectories for position in positions]
        values = [p.values for p in played if p.values is not None] if problem.has_critic else None
        advantages = outer_advantages(problem.chain, problem.game, positions, values)
        rewards = torch.stack([means_by_chain(p.rewards[0]) for p in played])
        objective = surrogate(problem.chain, positions, advantages, whole_batch=problem.whole_batch)
        return Outcome(objective, rewards, positions)

    def own_gradient(
        self, chain: Chain, game: Game, policies: Sequence[Policy], simulations: Simulations
    ) -> OwnGradient | None:
        """The direction of the agent's inner step in the meta-test; None where it is its policy gradient.

        Args:
            chain: its settings.
            game: what is played.
            policies: each agent's.
            simulations: what may be sampled beside the chain itself.
        """
        return None

    def play_chain(self, problem: Problem) -> list[Position]:
        """Positions 0..L, sampled, and differentiable in the meta-agent's parameters and learning rates."""
        return unroll(
            problem.chain, problem.game, problem.policies, problem.parameters, problem.own_lr, problem.sampler
        )

    @classmethod
    def on(cls, terms: Algorithm) -> Algorithm:
        """This way to play the chain, with another algorithm's terms."""
        return cls(**{field.name: getattr(terms, field.name) for field in fields(Algorithm)})


META_MAPG = Algorithm()
META_PG = Algorithm(peer_learning=False, peer_influence=False)
WITHOUT_OWN = Algorithm(own_learning=False)
WITHOUT_PEER = Algorithm(peer_learning=False)
REINFORCE = Algorithm(own_learning=False, peer_learning=False, peer_influence=False, meta=False)
