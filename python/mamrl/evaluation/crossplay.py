"""Trained agents against each other, against the classic strategies, and against learners that best-respond to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mamrl.errors import choose
from mamrl.games.base import Game
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import joint_log_probs
from mamrl.meta.inner_step import InnerStep, policy_gradients
from mamrl.policies import Policy, TabularPolicy
from mamrl.policies.strategies import STRATEGIES, named_strategy
from mamrl.progress import progress_bar

if TYPE_CHECKING:
    from mamrl.training.runs import Run

# a deterministic strategy errs this often: logits of probabilities 0 and 1 are infinite
TREMBLE = 1e-6


@dataclass(frozen=True, eq=False)
class Entrant:
    """Who plays.

    Attributes:
        name: in tables and plots.
        policy: of either player of a symmetric game.
        parameters: (P,), as they are before any adaptation.
    """

    name: str
    policy: Policy
    parameters: Tensor


def entrants_of(runs: Sequence[Run], strategies: Sequence[str] = STRATEGIES) -> tuple[Game, list[Entrant]]:
    """The game that all runs were trained for, the runs' agents, and those classic strategies that the game has.

    Args:
        runs: trained in the same symmetric game of two players.
        strategies: names of ``mamrl.policies.strategies.STRATEGIES``; those that the game does not have are left out.

    Raises:
        ValueError: no runs, runs of different games, or a game in which an agent cannot take either side.
    """
    if not runs:
        raise ValueError("cross-play needs at least one run")
    games = sorted({run.setting.game.name for run in runs})
    if len(games) > 1:
        raise ValueError(f"the runs were trained for different games ({', '.join(games)}), expected one")
    game = runs[0].setting.game
    if game.num_players != 2:
        raise ValueError(f"cross-play is for games of two players, the runs play '{games[0]}'")
    if not game.symmetric:
        raise ValueError(f"the two sides of '{games[0]}' differ, expected a game in which an agent can take either")
    entrants = [Entrant(_unique_name(run, runs), run.setting.policies[0], run.parameters) for run in runs]
    for name in strategies:
        choose("strategy", name, STRATEGIES)
        try:
            probabilities = named_strategy(name, game).clamp(TREMBLE, 1 - TREMBLE)
        except ValueError:
            continue
        policy = TabularPolicy(*probabilities.shape)
        entrants.append(Entrant(name, policy, policy.parameters_of(probabilities)))
    return game, entrants


def _unique_name(run: Run, runs: Sequence[Run]) -> str:
    """The folder's name, with its parent's where several runs share it."""
    if run.path is None:
        return f"{run.name}, seed {run.seed}"
    path = run.path.resolve()
    shared = sum(other.path is not None and other.path.resolve().name == path.name for other in runs) > 1
    return f"{path.parent.name}/{path.name}" if shared else path.name


def cross_play(
    game: Game, entrants: Sequence[Entrant], *, num_trajectories: int = 256, horizon: int = 150, seed: int = 0
) -> Tensor:
    """Every entrant against every other and itself, nobody learning.

    Args:
        game: symmetric, of two players.
        entrants: who plays.
        num_trajectories: K of every pair.
        horizon: T.
        seed: of the sampled actions.

    Returns:
        Mean reward a step (N, N, 2): entry [i, j] of i as the first player and of j as the second.
    """
    rewards = torch.zeros(len(entrants), len(entrants), 2)
    for i, first in enumerate(entrants):
        for j, second in enumerate(entrants):
            keys = random_keys(seed, "other", i * len(entrants) + j, 0, 1)
            pair = [first.parameters[None], second.parameters[None]]
            played = play(game, [first.policy, second.policy], pair, keys, num_trajectories, horizon)
            rewards[i, j] = played.rewards.mean((1, 2, 3))
    return rewards


@dataclass(frozen=True)
class BestResponse:
    """How an agent fares against a learner that responds to it.

    Attributes:
        kept: the agent's mean reward a step against the response.
        gained: the learner's.
    """

    kept: float
    gained: float


def best_response(
    game: Game,
    entrant: Entrant,
    *,
    steps: int = 200,
    learning_rate: float = 0.2,
    num_trajectories: int = 64,
    horizon: int = 150,
    discount: float = 0.96,
    seed: int = 0,
) -> BestResponse:
    """A tabular learner ascends its return against an agent that stands still.

    The response is the best that Adam on sampled policy gradients finds among policies with a memory of one step; an
    agent with a longer memory could be exploited further.

    Args:
        game: symmetric, of two players, with a table of states.
        entrant: who is responded to.
        steps: of the learner, from the uniform policy.
        learning_rate: Adam's.
        num_trajectories: K of a step.
        horizon: T.
        discount: gamma of the learner's return.
        seed: of the sampled actions.
    """
    if game.num_states is None:
        raise ValueError(f"{game.name} has no table of states, and a best response is a table")
    learner = TabularPolicy(game.num_states, game.action_counts[1])
    response = torch.zeros(1, learner.num_parameters)
    optimizer = torch.optim.Adam([response], lr=learning_rate, maximize=True)
    rule = InnerStep(discount, 0.95, peer_influence=False)
    policies, agent = [entrant.policy, learner], entrant.parameters[None]
    for step in range(steps):
        rows = [agent, response.detach().requires_grad_()]
        keys = random_keys(seed, "other", step, 1, 1)
        played = play(game, policies, rows, keys, num_trajectories, horizon)
        log_probs = joint_log_probs(policies, rows, played)
        (response.grad,) = policy_gradients(rule, rows, log_probs, played, game.num_states, False, learners=[1])
        optimizer.step()
    keys = random_keys(seed, "other", steps, 1, 1)
    final = play(game, policies, [agent, response], keys, 4 * num_trajectories, horizon)
    kept, gained = final.rewards.mean((1, 2, 3)).tolist()
    return BestResponse(kept, gained)


def best_responses(
    game: Game, entrants: Sequence[Entrant], *, progress: bool = True, **options: Any
) -> list[BestResponse]:
    """:func:`best_response` to each entrant, with a progress bar."""
    return [
        best_response(game, entrant, **options)
        for entrant in progress_bar(entrants, desc="best responses", enabled=progress)
    ]
