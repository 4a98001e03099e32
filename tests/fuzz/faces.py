"""Public functions, each with arguments that it takes; a fuzzer puts others in their places.

A call must come back, with numbers that are finite where all that went in was, or raise one of ``REFUSALS`` with a
sentence. ``attempt`` tells which.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamrl import envs, ops
from mamrl.config import Experiment
from mamrl.config.self_play import SelfPlayExperiment
from mamrl.evaluation import statistics
from mamrl.evaluation.learning_rules import basin, plays_tit_for_tat, policy_grid
from mamrl.games import coin_game as coin
from mamrl.games import coin_game_exact, differentiable, exact, matrix
from mamrl.games.stepped import SteppedCoinGame, SteppedMatrixGame
from mamrl.games.trajectories import play, random_keys
from mamrl.ops import reference
from mamrl.ops.iterated_2x2 import iterated_2x2
from mamrl.ops.quantile_huber import quantile_huber
from mamrl.policies.linear import LinearNetwork
from mamrl.policies.lstm import LSTMPolicy
from mamrl.policies.strategies import named_strategy
from mamrl.policies.tabular import TabularPolicy
from mamrl.populations.personas import bernoulli_personas, favourite_personas, personas_for
from mamrl.shaping.named import named_rule

REFUSALS = (ValueError, TypeError, RuntimeError, FloatingPointError, OSError)
# what a call may take, in seconds, before it is said to hang
PATIENCE = 20

Case = tuple[Callable[..., Any], dict[str, Any]]


def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers within (-1, 1) that are always the same."""
    return torch.linspace(-0.9, 0.9, math.prod(shape), dtype=torch.float64).sin().to(dtype).reshape(shape)


def indices(high: int, *shape: int) -> Tensor:
    """Indices below ``high``."""
    return torch.arange(math.prod(shape)).reshape(shape) % high


def _steps(batch: Any, **settings: Any) -> Any:
    env = envs.batched(batch, **settings)
    env.reset(seed=0)
    count = env.num_agents if hasattr(env, "num_agents") else env.game.num_players
    return env.step(torch.zeros(count, settings["num_envs"], dtype=torch.int64))


def _policy(policy: Any, method: str, **arguments: Any) -> Any:
    return getattr(policy, method)(**arguments)


def _of(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    return lambda **arguments: function(**fixed, **arguments)


_TABLE, _LSTM = TabularPolicy(5, 2), LSTMPolicy(5, 2, 4)
_PD, _LOQA = matrix.ipd(), coin.coin_game("loqa")
_ROWS = {policy: numbers(2, policy.num_parameters) for policy in (_TABLE, _LSTM)}
_STATES, _ACTIONS = indices(5, 3, 2, 4), indices(2, 3, 2, 4)
_NETWORK = {
    "recurrent_weight": numbers(2, 12, 3),
    "head_weight": numbers(2, 2, 3),
    "head_bias": numbers(2, 2),
}

CASES: dict[str, Case] = {
    "ops.gae": (
        ops.gae,
        {"rewards": numbers(3, 2), "values": numbers(4, 2), "discount": 0.9, "gae_lambda": 0.8, "terminations": None},
    ),
    "ops.discounted_returns": (
        ops.discounted_returns,
        {"rewards": numbers(3, 2), "discount": 0.9, "truncations": None, "next_values": numbers(3, 2)},
    ),
    "ops.dice_objective": (
        ops.dice_objective,
        {"log_probs": numbers(3, 2, 4), "rewards": numbers(3, 2, 4), "baseline": numbers(3, 2, 4), "discount": 0.9},
    ),
    "ops.loaded_dice_objective": (
        ops.loaded_dice_objective,
        {"log_probs": numbers(3, 2, 4), "advantages": numbers(3, 2, 4), "discount": 0.9},
    ),
    "ops.table_lookup": (ops.table_lookup, {"table": numbers(2, 5), "index": _STATES}),
    "ops.table_accumulate": (
        ops.table_accumulate,
        {"values": numbers(3, 2, 4), "index": _STATES, "num_rows": 5},
    ),
    "ops.linear_baseline": (
        ops.linear_baseline,
        {"observations": _STATES, "returns": numbers(3, 2, 4), "num_states": 5, "ridge": 1e-5},
    ),
    "ops.lstm": (
        ops.lstm,
        {"gate_inputs": numbers(2, 5, 12), "states": _STATES, **_NETWORK, "gradient_carry": 1.0},
    ),
    "ops.lstm_policy": (
        ops.lstm_policy,
        {"gate_inputs": numbers(2, 5, 12), "states": _STATES, **_NETWORK, "actions": _ACTIONS},
    ),
    "ops.matrix_game_rollout": (
        ops.matrix_game_rollout,
        {
            "payoffs": _PD.payoffs,
            "networks": [numbers(2, 5, 2), numbers(2, 5, 2)],
            "kinds": [reference.TABULAR, reference.TABULAR],
            "keys": random_keys(0, "other", 0, 0, 2),
            "num_trajectories": 4,
            "horizon": 3,
        },
    ),
    "ops.iterated_2x2": (
        iterated_2x2,
        {"logits_1": numbers(3, 5), "logits_2": numbers(3, 5), "payoffs": numbers(2, 4), "discount": 0.9},
    ),
    "ops.quantile_huber": (quantile_huber, {"predicted": numbers(3, 5), "target": numbers(3, 4)}),
    "games.symmetric_game": (
        matrix.symmetric_game,
        {"payoffs": [[1.0, 0.0], [2.0, 0.5]], "name": "own", "action_names": ("C", "D")},
    ),
    "games.rock_paper_scissors": (matrix.rock_paper_scissors, {"num_players": 2, "normalize": False}),
    "games.MatrixGame": (
        matrix.MatrixGame,
        {"payoffs": numbers(2, 2, 3), "name": "own", "action_names": ("a", "b")},
    ),
    "games.exact_values": (
        exact.exact_values,
        {"payoffs": _PD.payoffs, "logits": [numbers(2, 5, 2), numbers(2, 5, 2)], "discount": 0.9},
    ),
    "games.discounted_occupancy": (
        exact.discounted_occupancy,
        {"payoffs": _PD.payoffs, "logits": [numbers(2, 5, 2), numbers(2, 5, 2)], "discount": 0.9},
    ),
    "games.expected_rewards": (
        exact.expected_rewards,
        {"payoffs": _PD.payoffs, "logits": [numbers(2, 5, 2), numbers(2, 5, 2)], "horizon": 4},
    ),
    "games.play": (
        play,
        {
            "game": _PD,
            "policies": [_TABLE, _TABLE],
            "parameters": [_ROWS[_TABLE], _ROWS[_TABLE]],
            "keys": random_keys(0, "other", 0, 0, 2),
            "num_trajectories": 3,
            "horizon": 4,
        },
    ),
    "games.random_keys": (
        random_keys,
        {"seed": 0, "purpose": "other", "iteration": 0, "position": 0, "chains": 2},
    ),
    "games.coin_game": (
        coin.coin_game,
        {"variant": "loqa", "grid": 3, "coins": 1, "tie": "both", "apart": False, "new_coin": "free", "view": "same"},
    ),
    "games.move_weights": (
        coin.move_weights,
        {"game": _LOQA, "player": "defect", "state": indices(2, 3, 4), "seat": 0},
    ),
    "games.coin_game_values": (
        coin_game_exact.coin_game_values,
        {"game": coin.coin_game("loqa", grid=2), "first": "cooperate", "second": "defect", "horizon": 2},
    ),
    "games.SteppedCoinGame.start": (SteppedCoinGame(_LOQA).start, {"seeds": torch.arange(3)}),
    "games.SteppedMatrixGame.step": (
        _of(SteppedMatrixGame(_PD).step, state=None),
        {"actions": indices(2, 2, 3)},
    ),
    "games.iterated_prisoners_dilemma": (differentiable.iterated_prisoners_dilemma, {"discount": 0.9}),
    "policies.TabularPolicy": (TabularPolicy, {"num_states": 5, "num_actions": 2}),
    "policies.tabular.log_probs": (
        _of(_policy, policy=_TABLE, method="log_probs"),
        {"parameters": _ROWS[_TABLE], "states": _STATES, "actions": _ACTIONS},
    ),
    "policies.tabular.entropies": (
        _of(_policy, policy=_TABLE, method="entropies"),
        {"parameters": _ROWS[_TABLE], "states": _STATES},
    ),
    "policies.tabular.parameters_of": (_TABLE.parameters_of, {"probabilities": torch.full((5, 2), 0.5)}),
    "policies.lstm.log_probs": (
        _of(_policy, policy=_LSTM, method="log_probs"),
        {"parameters": _ROWS[_LSTM], "states": _STATES, "actions": _ACTIONS},
    ),
    "policies.lstm.logits": (
        _of(_policy, policy=_LSTM, method="logits"),
        {"parameters": _ROWS[_LSTM], "states": _STATES},
    ),
    "policies.linear.outputs": (
        LinearNetwork(5, 2).outputs,
        {"parameters": numbers(2, 10), "seen": numbers(3, 2, 4, 5)},
    ),
    "policies.named_strategy": (named_strategy, {"name": "tit-for-tat", "game": _PD, "player": 0}),
    "populations.bernoulli_personas": (
        bernoulli_personas,
        {"policy": _TABLE, "ranges": [(0.5, 1.0)], "group_names": ["kind"], "sizes": [4, 2, 2], "seed": 0},
    ),
    "populations.favourite_personas": (
        favourite_personas,
        {
            "policy": TabularPolicy(10, 3),
            "value_range": (0.5, 1.0),
            "group_names": ["r", "p", "s"],
            "sizes": [3, 3, 3],
            "seed": 0,
        },
    ),
    "populations.personas_for": (personas_for, {"game": _PD, "seed": 0, "ranges": "in-distribution"}),
    "evaluation.confidence_interval": (statistics.confidence_interval, {"samples": numbers(5), "level": 0.95}),
    "evaluation.paired_difference": (
        statistics.paired_difference,
        {"first": [1.0, 2.0], "second": [0.5, 1.0], "level": 0.95},
    ),
    "evaluation.stratified_bootstrap": (
        statistics.stratified_bootstrap,
        {"samples": numbers(2, 4), "level": 0.95, "resamples": 10, "seed": 0},
    ),
    "evaluation.plays_tit_for_tat": (plays_tit_for_tat, {"logits": numbers(3, 5), "margin": 0.25}),
    "evaluation.policy_grid": (policy_grid, {"side": 3, "reach": 10.0}),
    "evaluation.basin": (
        basin,
        {
            "game": differentiable.LogisticGame(),
            "rule": named_rule("naive"),
            "cells": [numbers(3, 1), numbers(3, 1)],
            "steps": 2,
            "step_size": 1.0,
        },
    ),
    "shaping.named_rule": (named_rule, {"name": "lola"}),
    **{
        f"shaping.{name}": (
            named_rule(name),
            {
                "game": differentiable.iterated_prisoners_dilemma(),
                "params": [numbers(2, 5, dtype=torch.float64), numbers(2, 5, dtype=torch.float64)],
                "step_size": 1.0,
            },
        )
        for name in ("naive", "lookahead", "lola", "lola-taylor", "hola", "sos")
    },
    "envs.batched matrix": (
        _steps,
        {"batch": "ipd", "num_envs": 3, "episode_length": 4, "autoreset": "next-step", "backend": "torch"},
    ),
    "envs.batched coin game": (
        _steps,
        {"batch": "coin-game", "num_envs": 3, "episode_length": 4, "variant": "loqa", "observation": "planes"},
    ),
    "config.Experiment": (
        Experiment,
        {"own_lr": 0.1, "chains": 4, "iterations": 3, "game": "ipd", "agent": "tabular", "averaging": 0.0},
    ),
    "config.SelfPlayExperiment": (
        SelfPlayExperiment,
        {"shaper": "loqa", "batch": 8, "opponents": 4, "grid": 3, "actor_lr": 1e-3, "updates": 3, "variant": "loqa"},
    ),
}

ODD: list[Any] = [
    None, True, -1, 0, 1, 2, 7, 2**31, 2**63, -(2**63), 1e300, -1.5, 0.5, math.nan, math.inf, -math.inf,
    "", "text", "ipd", b"bytes", [], [1], [[0.5, 0.5], [1.0]], {}, (), object(), lambda: None, np.nan, np.int64(3),
    np.zeros((2, 2)), np.array(["text"]), torch.tensor(1.0), torch.empty(0), torch.empty(0, 3), torch.zeros(3, 2),
    torch.full((3, 2), math.nan), torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.float16),
    torch.zeros(3, 2, dtype=torch.complex64), torch.zeros(3, 2, dtype=torch.bool), torch.zeros(1).expand(10**4, 10**5),
    torch.zeros(3, 2, device="meta"), torch.zeros(3, 2).to_sparse(), torch.zeros(3, 2, requires_grad=True),
]  # fmt: skip


def changes(value: Any) -> list[Any]:
    """The same value in other clothes, and a little wrong: for what only fails where nearly all is right."""
    if not isinstance(value, Tensor):
        return []
    other = [value.double(), value.half(), value.to(torch.int64), value.bool(), value.numpy(), value.tolist()]
    shapes = [value[None], value[:0], value[..., :1], value.flatten(), torch.cat([value, value])]
    layouts = [value.flip(0), value.expand(2, *value.shape), value.mT if value.dim() > 1 else value.expand(3, -1)]
    values = [value - 1, value + 10**6, value * 10**6]
    special = [torch.full_like(value, special) for special in (math.nan, math.inf)] if value.is_floating_point() else []
    return [*other, *shapes, *layouts, *values, *special]


def can_be_odd(value: Any) -> bool:
    """Whether an argument is of a kind that is checked; games, policies and rules are protocols, not looked into."""
    if isinstance(value, list | tuple):
        return all(can_be_odd(part) for part in value)
    return value is None or isinstance(value, int | float | str | Tensor | np.ndarray)


# the half width of an interval of one sample
MAY_BE_NAN = (statistics.confidence_interval, statistics.paired_difference)


class Hang(BaseException):
    """A call took longer than ``PATIENCE``."""


@contextlib.contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Raises :class:`Hang` where what is within takes longer."""

    def ring(number: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(function: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """Calls it: "returned", "refused", or what is wrong, as a sentence."""
    try:
        with patience(PATIENCE):
            result = function(**arguments)
    except REFUSALS as error:
        return "refused" if str(error).strip() else f"{type(error).__name__} says nothing"
    except Hang:
        return f"no end after {PATIENCE} s"
    except Exception as error:  # whatever a user would not expect
        return f"{type(error).__name__}: {error}"
    if finite(list(arguments.values())) and not finite(result) and function not in MAY_BE_NAN:
        return "a number that is not finite, of finite ones"
    return "returned"


def finite(value: Any) -> bool:
    """Whether all numbers within are finite, of a modest size if they are inputs, as far as one can see into it."""
    if isinstance(value, Tensor):
        if value.is_meta or value.is_sparse or not (value.is_floating_point() or value.is_complex()):
            return True
        return value.numel() > 10**7 or bool(value.detach().isfinite().all())
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(finite(part) for part in value)
    return True


# ---- the command line ----------------------------------------------------------------------------------

_TINY = [
    "--set=iterations=1", "--set=num_trajectories=2", "--set=horizon=3", "--set=chain_length=1", "--set=chains=2",
]  # fmt: skip
COMMANDS: list[list[str]] = [
    ["train", "ipd-tabular", "--out=run", "--quiet", "--seed=1", "--threads=1", *_TINY],
    ["train", "ipd-exact", "--out=run", "--quiet", "--algorithm=meta-pg", "--log=none", *_TINY],
    ["train", "--resume", "--out=run", "--quiet"],
    ["train", "--config=config.toml", "--out=run", "--quiet"],
    ["self-play", "loqa-coin", "--out=play", "--quiet", "--seed=1", "--set=updates=1", "--set=batch=16"],
    ["self-play", "--score", "--out=play"],
    ["test", "run", "--seed=0", "--repeats=1", "--split=test"],
    ["diagnose", "run", "--samples=2", "--personas=1", "--split=test"],
    ["plot", "run", "--out=plot.png", "--repeats=1"],
    ["crossplay", "run", "--out=cross", "--trajectories=2", "--horizon=3", "--response-steps=1"],
    ["shape", "ipd", "--rules", "lola", "--pairs=2", "--steps=2", "--step-size=1", "--order=2", "--out=shape.csv"],
    ["render", "run", "--out=film.gif"],
    ["sweep", "ipd-exact", "--out=sweep", "--grid", "actor_lr=0.1", "--seeds=0", "--jobs=1", *_TINY],
    ["reproduce", "--list"],
    ["info"],
    ["completion", "bash"],
]
ODD_TEXTS = [
    "", " ", "-1", "0", "1.5", "nan", "inf", "1e400", "9" * 40, "text", "ipd", "../nowhere/x", "/dev/null", "/dev/full",
    "\u00e9\u4e2d", "a" * 5000, "--", "-", "=", "x=y", "own_lr=", "own_lr=nan", "chains=-3", "=1", "run", "run/last.pt",
    "config.toml", "\x07",
]  # fmt: skip


def run_command(arguments: list[str]) -> str:
    """Runs ``mamrl`` in this process: "status N", or what is wrong, as a sentence."""
    from mamrl.cli import main

    said = io.StringIO()
    try:
        with patience(2 * PATIENCE), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = main(arguments)
    except SystemExit as error:
        status = error.code
    except Hang:
        return f"no end after {2 * PATIENCE} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if status not in (0, 2):
        return f"status {status}"
    if status == 2 and not said.getvalue().strip():
        return "status 2 without a sentence"
    return f"status {status}"


def fresh_folder(folder: str) -> None:
    """A run, and a file of fields, for the commands that read one."""
    os.chdir(folder)
    with open("config.toml", "w") as file:
        file.write('agent = "tabular-exact"\niterations = 1\nchain_length = 1\nhorizon = 3\n')
    assert run_command(COMMANDS[0]) == "status 0"
