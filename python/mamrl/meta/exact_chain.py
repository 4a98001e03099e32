"""The chain of joint policies with exact values: tabular agents, no sampling, autograd through every inner step.

The yardstick for every sampled estimator: its gradient is the meta-gradient of equation 3 in Kim et al. 2021, where
phi_{l+1} is a function of the *expected* policy gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.games.base import Game, payoffs_of
from mamrl.games.exact import exact_values, expected_rewards
from mamrl.meta.algorithm import Algorithm, AnyChain, Outcome, Problem
from mamrl.meta.own_step import OwnStep
from mamrl.policies.base import Policy
from mamrl.policies.tabular import TabularPolicy


@dataclass(frozen=True, eq=False)
class ExactPosition:
    """One link: joint parameters phi_l, each (M, P_a), and every agent's discounted return (n, M)."""

    parameters: Sequence[Tensor]
    values: Tensor


Values = Callable[[Sequence[Tensor]], Tensor]
AS_PUBLISHED = OwnStep()


def unroll_values(
    values: Values,
    parameters: Sequence[Tensor],
    rate: Callable[[int, int], Tensor | float],
    chain_length: int,
    peer_influence: bool,
    differentiable: bool = True,
    own_step: OwnStep = AS_PUBLISHED,
) -> list[ExactPosition]:
    """Positions 0..L of the chain in which every agent ascends its own value.

    Args:
        values: joint parameters, each (M, P_a) -> every agent's value (n, M).
        parameters: phi_0, each agent's rows (M, P_a).
        rate: (agent, position) -> its learning rate, a number or (M, 1).
        chain_length: L.
        peer_influence: whether an agent's step is a function of the others' parameters too; its value is the same.
        differentiable: whether phi_l stays a differentiable function of phi_0 and the learning rates.
        own_step: how the first agent, the meta-agent, steps.
    """
    rows = [row if row.requires_grad else row.detach().requires_grad_() for row in parameters]
    positions = []
    for position in range(chain_length + 1):
        current = values(rows)
        positions.append(ExactPosition(rows, current))
        if position == chain_length:
            break
        adapted = []
        for agent, row in enumerate(rows):
            first_order = agent == 0 and own_step.first_order
            here = row.detach().requires_grad_() if first_order else row
            if peer_influence and not first_order:
                value = current[agent]
            else:
                others = [other if peer_influence else other.detach() for other in rows]
                value = values([here if a == agent else other for a, other in enumerate(others)])[agent]
            (gradient,) = torch.autograd.grad(value.sum(), here, create_graph=differentiable, retain_graph=True)
            direction = own_step.direction(gradient) if agent == 0 else gradient
            adapted.append(row + rate(agent, position) * direction)
        rows = adapted if differentiable else [row.detach().requires_grad_() for row in adapted]
    return positions


def unroll_exact(
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    own_lr: Tensor,
    peer_lr: float,
    chain_length: int,
    discount: float,
    terms: Algorithm,
    differentiable: bool = True,
    own_step: OwnStep = AS_PUBLISHED,
) -> list[ExactPosition]:
    """:func:`unroll_values` of tabular agents in an iterated matrix game.

    Args:
        game: any n-player game that is its payoffs.
        policies: each agent's, the meta-agent's first.
        parameters: phi_0, each agent's rows (M, P_a).
        own_lr: the meta-agent's inner learning rate by position, (M, L).
        peer_lr: the peers'.
        chain_length: L.
        discount: gamma, below 1.
        terms: an algorithm's; without ``peer_influence`` the peers' steps do not depend on phi_0^i.
        differentiable: whether phi_l stays a differentiable function of phi_0 and ``own_lr``.
        own_step: how the meta-agent steps.

    Returns:
        One position for each l = 0..L.
    """
    payoffs, tables = payoffs_of(game).to(parameters[0]), _tabular(policies)

    def values(joint: Sequence[Tensor]) -> Tensor:
        return exact_values(payoffs, [p.table(row) for p, row in zip(tables, joint, strict=True)], discount)

    def rate(agent: int, position: int) -> Tensor | float:
        return own_lr[:, position : position + 1] if agent == 0 else peer_lr

    return unroll_values(values, parameters, rate, chain_length, terms.peer_influence, differentiable, own_step)


def exact_meta_objective(positions: Sequence[ExactPosition], terms: Algorithm) -> Tensor:
    """The meta-agent's discounted return over l = 1..L, (M,); over l = 0 alone for agents that do not meta-learn."""
    values = torch.stack([position.values[0] for position in positions])
    return values[1:].sum(0) if terms.meta else values[0]


def mean_rewards(game: Game, policies: Sequence[Policy], positions: Sequence[ExactPosition], horizon: int) -> Tensor:
    """Every agent's expected reward a step at each position.

    Args:
        game: the game.
        policies: each agent's.
        positions: 0..L.
        horizon: over so many first steps.

    Returns:
        (L + 1, n, M), without a graph.
    """
    payoffs, tables = payoffs_of(game).to(positions[0].values), _tabular(policies)
    result = []
    for position in positions:
        logits = [p.table(row.detach()) for p, row in zip(tables, position.parameters, strict=True)]
        result.append(expected_rewards(payoffs, logits, horizon).mean(0))
    return torch.stack(result)


def _tabular(policies: Sequence[Policy]) -> list[TabularPolicy]:
    tables = [policy for policy in policies if isinstance(policy, TabularPolicy)]
    if len(tables) < len(policies):
        kinds = ", ".join(type(policy).__name__ for policy in policies)
        raise TypeError(f"the policies are {kinds}, expected TabularPolicy: others have no exact values")
    return tables


@dataclass(frozen=True)
class ExactChain(Algorithm):
    """An algorithm on the exact chain: nothing is sampled, and its objective is what the others estimate."""

    @property
    def waits_for_its_device(self) -> str:
        """See :attr:`mamrl.meta.algorithm.Algorithm.waits_for_its_device`."""
        return "the exact chain waits for its device within torch.linalg.solve"

    def trained_on(self, chain: AnyChain) -> AnyChain:
        """See :meth:`mamrl.meta.algorithm.Algorithm.trained_on`: the whole chain, which costs little, and is logged."""
        return chain

    def objective(self, problem: Problem) -> Outcome:
        """See :meth:`mamrl.meta.algorithm.Algorithm.objective`."""
        chain, game, policies = problem.chain, problem.game, problem.policies
        positions = unroll_exact(
            game,
            policies,
            problem.parameters,
            problem.own_lr,
            chain.peer_lr,
            chain.chain_length,
            chain.discount,
            self,
            own_step=chain.own_step,
        )
        rewards = mean_rewards(game, policies, positions, chain.horizon)
        return Outcome(exact_meta_objective(positions, self), rewards[:, 0])
