"""Builds opponents from what a user gives: a name, a population, a table, a run, a function."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamrl.envs.learning import Learner, LearningOpponent
from mamrl.envs.opponents import FunctionOpponent, Opponent, PopulationOpponent, RecurrentOpponent, TabularOpponent
from mamrl.errors import choose
from mamrl.games.matrix import MatrixGame
from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.policies.strategies import STRATEGIES, named_strategy
from mamrl.populations.personas import Population, personas_for
from mamrl.training.runs import Run, load_run


def opponent_of(given: Any, game: MatrixGame, player: int, num_envs: int, episode_length: int) -> Opponent:
    """Builds the opponent in seat ``player`` of E environments.

    Args:
        given: a name of :data:`mamrl.policies.strategies.STRATEGIES`; "personas", the papers' training population, a
            new persona every episode; "learning", a persona that takes policy-gradient steps; a
            :class:`mamrl.envs.LearningOpponent` with settings of its own; a
            :class:`mamrl.populations.personas.Population`; a table (S, A) of action probabilities; a
            :class:`mamrl.training.runs.Run` or the folder of one, whose trained agent plays without learning; or a
            function from states (E,) to actions (E,).
        game: what is played.
        player: its seat, from 1.
        num_envs: E.
        episode_length: steps of an episode, 0 for never ending.

    Raises:
        TypeError: something else was given.
        ValueError: an unknown name, or an opponent that does not fit the game.
    """
    if isinstance(given, str | os.PathLike):
        given = _named(given, game, player)
    if isinstance(given, LearningOpponent):
        return Learner(given, game, player, num_envs, episode_length)
    if isinstance(given, Population):
        return PopulationOpponent(given, game, player, num_envs)
    if isinstance(given, Run):
        return _trained(given, game, player, num_envs)
    if isinstance(given, Tensor | np.ndarray):
        return TabularOpponent(_checked_table(given, game, player).unsqueeze(0), player)
    if callable(given):
        return FunctionOpponent(given, game.action_counts[player])
    raise TypeError(
        f"opponent is {type(given).__name__}, expected a name, a population, a LearningOpponent, a table (S, A), a "
        "run or its folder, or a function"
    )


def _named(name: str | os.PathLike, game: MatrixGame, player: int) -> Any:
    if name in STRATEGIES:
        return named_strategy(str(name), game, player)
    if name == "personas":
        return personas_for(game)["train"]
    if name == "learning":
        return LearningOpponent()
    if not Path(name).is_dir():
        choose("opponent", str(name), (*STRATEGIES, "personas", "learning", "the folder of a run"))
    return load_run(Path(name))


def opponents_of(given: Any, game: MatrixGame, num_envs: int, episode_length: int) -> list[Opponent]:
    """The opponents in seats 1 to n - 1: each its own from a list or tuple, or all the same."""
    seats = range(1, game.num_players)
    each = list(given) if isinstance(given, list | tuple) else [given] * len(seats)
    if len(each) != len(seats):
        raise ValueError(f"got {len(each)} opponents, expected one, or {len(seats)}")
    return [opponent_of(own, game, p, num_envs, episode_length) for own, p in zip(each, seats, strict=True)]


def _trained(run: Run, game: MatrixGame, player: int, num_envs: int) -> Opponent:
    policy = run.setting.policies[0]
    sizes = (getattr(policy, "num_states", None), getattr(policy, "num_actions", None))
    if sizes != (game.num_states, game.action_counts[player]):
        raise ValueError(
            f"the run's agent is of {sizes[0]} states and {sizes[1]} actions, expected {game.num_states} and "
            f"{game.action_counts[player]} for {game.name}"
        )
    if isinstance(policy, LSTMPolicy):
        return RecurrentOpponent(policy, run.parameters, player, num_envs)
    if isinstance(policy, TabularPolicy):
        table = torch.softmax(policy.table(run.parameters.detach().unsqueeze(0)), dim=-1)
        return TabularOpponent(table, player)
    raise ValueError(f"the run's agent is a {type(policy).__name__}, expected a tabular or an LSTM policy")


def _checked_table(given: Tensor | np.ndarray, game: MatrixGame, player: int) -> Tensor:
    table = torch.as_tensor(given)
    expected = (game.num_states, game.action_counts[player])
    if not table.is_floating_point() or tuple(table.shape) != expected:
        raise ValueError(
            f"the opponent's table is {table.dtype} of shape {tuple(table.shape)}, expected floating of {expected}"
        )
    if not bool(((table >= 0) & ((table.sum(-1, keepdim=True) - 1).abs() < 1e-4)).all()):
        raise ValueError("the opponent's table holds rows that are no probabilities: each is to be >= 0 and sum to 1")
    return table.to(torch.float64)
