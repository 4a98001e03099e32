"""LOLA-DiCE (Foerster et al. 2018c): opponent shaping from sampled trajectories.

A learner simulates ``lookahead`` policy-gradient steps of its opponents, samples under the parameters that they would
then have, and ascends the DiCE objective of that return through the simulated steps. Its own parameters stay fixed
meanwhile, which is what sets it apart from the chain of joint policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mamrl.games.base import Game
from mamrl.games.trajectories import Trajectories, play, random_keys
from mamrl.meta.algorithm import Algorithm, Outcome, Problem, Simulations
from mamrl.meta.chain import Chain, OwnGradient, Sampler, joint_log_probs
from mamrl.meta.estimators import means_by_chain
from mamrl.meta.inner_step import policy_gradients
from mamrl.meta.objectives import inner_objective
from mamrl.policies import Policy


def lookahead_objective(
    chain: Chain,
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    sampler: Sampler,
    player: int = 0,
) -> tuple[Tensor, list[Trajectories]]:
    """A player's DiCE objective after ``chain.lookahead`` simulated steps of all others.

    Args:
        chain: K, T, discount, the opponents' ``peer_lr``, ``lookahead`` and ``lookahead_dice``.
        game: the game that is played.
        policies: each agent's.
        parameters: each agent's rows (M, P_a); the player's are what the objective is differentiated in.
        sampler: (simulated steps so far, joint parameters) -> trajectories.
        player: who looks ahead.

    Returns:
        The objective (M,), whose gradient in the player's rows is its LOLA-DiCE update, and what was sampled.
    """
    rows = [row if row.requires_grad else row.detach().requires_grad_() for row in parameters]
    opponents = [agent for agent in range(len(rows)) if agent != player]
    step, sampled = replace(chain.learning_rule, objective=chain.lookahead_dice), []
    for simulated in range(chain.lookahead + 1):
        trajectories = sampler(simulated, rows)
        sampled.append(trajectories)
        log_probs = joint_log_probs(policies, rows, trajectories)
        if simulated < chain.lookahead:
            gradients = policy_gradients(step, rows, log_probs, trajectories, game.num_states, True, opponents)
            for agent, gradient in zip(opponents, gradients, strict=True):
                rows[agent] = rows[agent] + chain.peer_lr * gradient
    objective = inner_objective(
        sum(log_probs[1:], log_probs[0]),
        trajectories.states[player],
        trajectories.rewards[player],
        game.num_states,
        chain.discount,
        chain.inner_gae_lambda,
        chain.lookahead_dice,
    )
    return objective, sampled


def lola_dice_gradient(
    chain: Chain,
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    sampler: Sampler,
    player: int = 0,
) -> Tensor:
    """The direction (M, P_player) of a player's LOLA-DiCE step; arguments as :func:`lookahead_objective`."""
    rows = [row.detach().requires_grad_() for row in parameters]
    objective, _ = lookahead_objective(chain, game, policies, rows, sampler, player)
    (gradient,) = torch.autograd.grad(objective.sum(), rows[player])
    return gradient


@dataclass(frozen=True)
class LolaDice(Algorithm):
    """LOLA-DiCE as an algorithm of the chain: every step of its agent, in training and in the chain, looks ahead."""

    own_learning: bool = False
    meta: bool = False

    def num_samples(self, chain: Chain) -> int:
        """See :meth:`mamrl.meta.algorithm.Algorithm.num_samples`: tau_0, and what follows each simulated step."""
        return 1 + chain.lookahead

    def objective(self, problem: Problem) -> Outcome:
        """See :meth:`mamrl.meta.algorithm.Algorithm.objective`; rewards are those after each simulated step."""
        objective, sampled = lookahead_objective(
            problem.chain, problem.game, problem.policies, problem.parameters, problem.sampler
        )
        return Outcome(objective, torch.stack([means_by_chain(trajectories.rewards[0]) for trajectories in sampled]))

    def own_gradient(
        self, chain: Chain, game: Game, policies: Sequence[Policy], simulations: Simulations
    ) -> OwnGradient | None:
        """See :meth:`mamrl.meta.algorithm.Algorithm.own_gradient`."""
        count = self.num_samples(chain)

        def look_ahead(position: int, rows: Sequence[Tensor]) -> Tensor:
            return lola_dice_gradient(chain, game, policies, rows, simulations(position * count, count))

        return look_ahead


LOLA_DICE = LolaDice()


def self_play(
    chain: Chain,
    game: Game,
    policies: Sequence[Policy],
    parameters: Sequence[Tensor],
    *,
    updates: int,
    learning_rate: float,
    looks_ahead: bool = True,
    seed: int = 0,
) -> tuple[Tensor, list[Tensor]]:
    """Every player learns by LOLA-DiCE, each expecting the others to learn naively; or all learn naively.

    Args:
        chain: as :func:`lookahead_objective`; ``peer_lr`` is the step that each expects of the others.
        game: the game that is played.
        policies: each agent's.
        parameters: where they start, each agent's rows (M, P_a), one pair of learners a row.
        updates: learning steps, all players' at once.
        learning_rate: Adam's.
        looks_ahead: False for naive learners, who ascend their policy gradients.
        seed: of the sampled trajectories.

    Returns:
        The mean discounted reward a step, (1 - g) sum_t g^t r_t / (1 - g^T), before each update, (updates, n, M),
        and the last parameters.
    """
    rows = [row.detach().clone() for row in parameters]
    optimizer = torch.optim.Adam(rows, lr=learning_rate, maximize=True)
    chains, agents = rows[0].shape[0], range(len(rows))
    weights = chain.discount ** torch.arange(chain.horizon, dtype=rows[0].dtype, device=rows[0].device)
    weights = weights / weights.sum()

    # the streams of an update: tau_0, then each player's simulations
    def sampler(update: int, offset: int) -> Sampler:
        def sample(position: int, joint: Sequence[Tensor]) -> Trajectories:
            keys = random_keys(seed, "other", update, offset + position, chains, device=rows[0].device)
            return play(game, policies, joint, keys, chain.num_trajectories, chain.horizon)

        return sample

    history = []
    for update in range(updates):
        trajectories = sampler(update, 0)(0, rows)
        history.append(torch.einsum("ntmk,t->nm", trajectories.rewards, weights) / chain.num_trajectories)
        if looks_ahead:
            gradients = [
                lola_dice_gradient(
                    chain, game, policies, rows, sampler(update, 1 + agent * (chain.lookahead + 1)), agent
                )
                for agent in agents
            ]
        else:
            leaves = [row.detach().requires_grad_() for row in rows]
            log_probs = joint_log_probs(policies, leaves, trajectories)
            gradients = policy_gradients(chain.learning_rule, leaves, log_probs, trajectories, game.num_states, False)
        for row, gradient in zip(rows, gradients, strict=True):
            row.grad = gradient
        optimizer.step()
    return torch.stack(history), rows
