"""The chain of joint policies: what decides it, and its positions, differentiable in phi_0.

phi_0 joint parameters; at each position l = 0..L, K trajectories tau_l of T steps are sampled under phi_l, then every
agent takes one policy-gradient step to phi_{l+1} (Kim et al. 2021, section 2.2). The meta-agent is player 0; its
objective is its return over l = 1..L as a function of its own phi_0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from mamrl.errors import choose
from mamrl.games.base import Game
from mamrl.games.trajectories import Trajectories
from mamrl.meta.inner_step import InnerStep, policy_gradients
from mamrl.meta.objectives import INNER_OBJECTIVES
from mamrl.meta.own_step import OwnStep, first_order_gradient
from mamrl.meta.registry import ALGORITHMS
from mamrl.policies.base import Policy
from mamrl.policies.checks import own_trajectories

if TYPE_CHECKING:
    from mamrl.meta.algorithm import Algorithm

ESTIMATORS = ("published", "expected", "sampled")


@dataclass(frozen=True)
class Chain:
    """Everything that defines the chain and the estimator of its meta-gradient.

    Attributes:
        algorithm: a name of ``ALGORITHMS``.
        estimator: "published", "expected" or "sampled".
        inner_objective: "loaded-dice" or "dice".
        num_trajectories: K.
        horizon: T.
        chain_length: L, the number of inner steps.
        discount: gamma.
        gae_lambda: lambda of the meta-agent's outer advantages.
        inner_gae_lambda: lambda of loaded DiCE's advantages.
        discounted_outer: weigh the outer advantage at time t by gamma^t, which makes the estimate one of the discounted
            return's gradient; the published implementation does not.
        peer_lr: the peers' inner learning rate.
        inner_step: the meta-agent's own step: its inner "gradient" as published, or "bounded"
            (:mod:`mamrl.meta.own_step`).
        inner_bound: the largest norm of a bounded step, before its learning rate.
        own_curvature: "full", or "first-order": the meta-gradient drops the own step's derivative in phi_l^i.
        lookahead: how many steps of its peers LOLA-DiCE simulates before each of its own.
        lookahead_dice: "loaded-dice" or "dice" (the published one), through which LOLA-DiCE differentiates them.
        cross_chain_baseline: estimator="sampled" subtracts from a chain's returns the mean of the other chains'.
    """

    algorithm: str = "meta-mapg"
    estimator: str = "expected"
    inner_objective: str = "loaded-dice"
    num_trajectories: int = 64
    horizon: int = 150
    chain_length: int = 7
    discount: float = 0.96
    gae_lambda: float = 0.95
    inner_gae_lambda: float = 0.95
    discounted_outer: bool = False
    peer_lr: float = 1.0
    inner_step: str = "gradient"
    inner_bound: float = 1.0
    own_curvature: str = "full"
    lookahead: int = 1
    lookahead_dice: str = "loaded-dice"
    cross_chain_baseline: bool = True

    def __post_init__(self) -> None:
        choose("algorithm", self.algorithm, ALGORITHMS)
        choose("estimator", self.estimator, ESTIMATORS)
        choose("inner_objective", self.inner_objective, INNER_OBJECTIVES)
        choose("lookahead_dice", self.lookahead_dice, INNER_OBJECTIVES)
        for name in ("num_trajectories", "horizon", "chain_length", "lookahead"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("discount", "gae_lambda", "inner_gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number within [0, 1]")
        OwnStep(self.inner_step, self.inner_bound, self.own_curvature)

    @property
    def terms(self) -> Algorithm:
        """What the algorithm's name stands for."""
        return ALGORITHMS[self.algorithm]

    @property
    def own_step(self) -> OwnStep:
        """How the meta-agent steps along what its learning rule gives."""
        return OwnStep(self.inner_step, self.inner_bound, self.own_curvature)

    @property
    def learning_rule(self) -> InnerStep:
        """How agents learn between two positions."""
        return InnerStep(
            self.discount,
            self.inner_gae_lambda,
            self.inner_objective,
            self.terms.peer_influence,
            frozen_weights=self.estimator == "sampled",
        )


@dataclass(frozen=True, eq=False)
class Position:
    """One link of the chain: joint parameters phi_l, what was sampled under them, and its log-probabilities.

    Attributes:
        parameters: each agent's rows (M, P_a).
        trajectories: tau_l.
        log_probs: each agent's (T, M, K), differentiable in phi_0.
    """

    parameters: Sequence[Tensor]
    trajectories: Trajectories
    log_probs: Sequence[Tensor]


Sampler = Callable[[int, Sequence[Tensor]], Trajectories]
OwnGradient = Callable[[int, Sequence[Tensor]], Tensor]
PeerModel = Callable[[Sequence[Tensor], Trajectories], Sequence[Tensor]]


def unroll(
    chain: Chain,
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    own_lr: Tensor,
    sampler: Sampler,
    differentiable: bool = True,
    own_gradient: OwnGradient | None = None,
    peer_model: PeerModel | None = None,
) -> list[Position]:
    """Runs the chain: positions 0..L.

    Args:
        chain: its settings.
        game: the game that is played.
        policies: each agent's, the meta-agent's first.
        parameters: phi_0, each agent's rows (M, P_a).
        own_lr: the meta-agent's inner learning rate by position, (M, L).
        sampler: (position, joint parameters) -> trajectories; one that returns recorded trajectories makes the chain a
            function of its parameters alone.
        differentiable: whether phi_l stays a differentiable function of phi_0 and ``own_lr``.
        own_gradient: (position, joint parameters) -> the direction (M, P_0) of the meta-agent's inner step, where that
            is not its policy gradient.
        peer_model: (joint parameters, trajectories) -> the joint parameters to go on from, where the peers' are
            inferred from what was played (:mod:`mamrl.meta.opponent_model`).

    Returns:
        One position for each l = 0..L.

    Raises:
        ValueError: the sampler's trajectories have another horizon or number than the chain.
    """
    rows = [row if row.requires_grad else row.detach().requires_grad_() for row in parameters]
    positions: list[Position] = []
    for position in range(chain.chain_length + 1):
        trajectories = sampler(position, rows)
        if trajectories.states.shape[1] != chain.horizon or trajectories.states.shape[3] != chain.num_trajectories:
            raise ValueError(
                f"trajectories at position {position} have T = {trajectories.states.shape[1]} and K = "
                f"{trajectories.states.shape[3]}, expected horizon {chain.horizon} and {chain.num_trajectories}"
            )
        if peer_model is not None:
            rows = list(peer_model(rows, trajectories))
        log_probs = joint_log_probs(policies, rows, trajectories)
        # without a graph nobody comes back for what the forward pass saved, and forty chains of it are gigabytes
        kept = trajectories if differentiable else replace(trajectories, recorded=(), values_recorded=())
        positions.append(Position(rows, kept, log_probs if differentiable else [x.detach() for x in log_probs]))
        if position < chain.chain_length:
            learnt = chain.learning_rule, rows, log_probs, trajectories, game.num_states
            first_order = differentiable and chain.own_step.first_order
            learners = range(1 if first_order or own_gradient is not None else 0, len(rows))
            gradients = policy_gradients(*learnt, differentiable, learners)
            if own_gradient is not None:
                gradients.insert(0, own_gradient(position, rows))
            elif first_order:
                gradients.insert(0, first_order_gradient(policies[0], *learnt))
            gradients[0] = chain.own_step.direction(gradients[0])
            rates = [own_lr[:, position : position + 1]] + [chain.peer_lr] * (len(rows) - 1)
            rows = [row + rate * gradient for row, rate, gradient in zip(rows, rates, gradients, strict=True)]
            if not differentiable:
                rows = [row.detach().requires_grad_() for row in rows]
    return positions


def joint_log_probs(policies: Sequence[Policy], rows: Sequence[Tensor], trajectories: Trajectories) -> list[Tensor]:
    """Each agent's log-probabilities (T, M, K) of what it did, differentiable in its rows (M, P_a)."""
    with own_trajectories():
        return [
            policy.log_probs(row, trajectories.states[a], trajectories.actions[a], trajectories.recorded_of(a))
            for a, (policy, row) in enumerate(zip(policies, rows, strict=True))
        ]
