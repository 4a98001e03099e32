"""Matrix games as environments: many at once, one step or all of an episode a call."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mamrl.ops import reference
from mamrl.ops._call import bind
from mamrl.ops.reference import AUTORESETS

_steps = bind("matrix_game_steps")
_actions = bind("tabular_actions")
_turn = bind("matrix_game_turn")

__all__ = ["AUTORESETS", "GameSteps", "matrix_game_steps", "matrix_game_turn", "tabular_actions"]


class GameSteps(NamedTuple):
    """What :func:`matrix_game_steps` computes.

    Attributes:
        states: (n, T, E) in the dtype of the actions, after each step.
        final_states: the same before "same-step" starts a new episode; empty in other modes.
        rewards: (n, T, E) in the dtype of the payoffs.
        truncations: (T, E) bool.
        elapsed: (E,) int32, for the next call.
    """

    states: Tensor
    final_states: Tensor
    rewards: Tensor
    truncations: Tensor
    elapsed: Tensor

    @staticmethod
    def empty(payoffs: Tensor, actions: Tensor, elapsed: Tensor, autoreset: str) -> GameSteps:
        """Memory for the results of such arguments."""
        shape = actions.shape
        return GameSteps(
            torch.empty(shape, dtype=actions.dtype, device=actions.device),
            torch.empty(shape if autoreset == "same-step" else 0, dtype=actions.dtype, device=actions.device),
            torch.empty(shape, dtype=payoffs.dtype, device=payoffs.device),
            torch.empty(shape[1:], dtype=torch.bool, device=actions.device),
            torch.empty_like(elapsed),
        )


def matrix_game_steps(
    payoffs: Tensor,
    actions: Tensor,
    elapsed: Tensor,
    episode_length: int = 0,
    autoreset: str = "next-step",
    out: GameSteps | None = None,
) -> GameSteps:
    """T steps of E environments of one matrix game, all players' actions given; nothing in it is differentiable.

    A player's state is 0 at an episode's start and then 1 + the joint action in mixed radix, its own action first, then
    the others' in their order. An episode is truncated after ``episode_length`` steps. What then happens is
    ``autoreset``: "next-step", the next step ignores its actions, starts an episode (state 0) and pays 0; "same-step",
    the step that ends an episode shows the start of the next, and ``final_states`` what it reached; "disabled", the
    environments have to be reset (``elapsed`` set to 0) before they go on.

    Args:
        payoffs: (n, A_1, ..., A_n) float32 or float64, n from 1 to 8; S = 1 + A_1 * ... * A_n.
        actions: (n, T, E) int64, or uint8 where S is at most 256.
        elapsed: (E,) int32, the steps that each environment's episode has had.
        episode_length: steps until truncation; 0 for never.
        autoreset: one of :data:`AUTORESETS`.
        out: memory for the results, as :meth:`GameSteps.empty` makes it; None takes fresh memory.

    Returns:
        ``out``, filled; after an error its contents mean nothing.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape or a mode is not as above, an action or ``elapsed`` is out of range, or an episode is over
            and ``autoreset`` is "disabled".
    """
    result = GameSteps.empty(payoffs, actions, elapsed, autoreset) if out is None else out
    _steps(payoffs, actions, elapsed, episode_length, autoreset, *result)
    return result


def tabular_actions(
    probabilities: Tensor,
    states: Tensor,
    rows: Tensor | None = None,
    seeds: Tensor | None = None,
    clocks: Tensor | None = None,
    player: int = 0,
) -> Tensor:
    """The actions of one player in E environments, drawn from tabular policies.

    Environment i draws by Philox (Salmon et al. 2011) keyed by ``seeds[i]`` and counted by ``clocks[i]``, so that its
    actions depend on nothing else: not on the batch it is in, nor on the number of threads.

    Args:
        probabilities: (R, S, A) float32 or float64, R policies' weights of the actions, not below 0.
        states: (E,) int64 or uint8, as the player sees them.
        rows: (E,) int64, each environment's policy; None for the first everywhere.
        seeds: (E,) int64.
        clocks: (E,) int64, how many actions an environment has drawn before. Without seeds and clocks nothing is
            drawn, which is right where every policy is sure of its actions.
        player: whose actions, 0 to 7: players of one environment draw independently.

    Returns:
        (E,) in the dtype of the states.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape is not as above, a state or a row is out of range, or one of seeds and clocks is missing.
    """
    return _actions(probabilities, states, rows, seeds, clocks, player)


def matrix_game_turn(
    payoffs: Tensor,
    probabilities: Tensor,
    rows: Tensor | None,
    seeds: Tensor | None,
    clocks: Tensor | None,
    actions: Tensor,
    states: Tensor,
    elapsed: Tensor,
    episode_length: int,
    autoreset: str,
    joint: Tensor,
    out: GameSteps,
    seen: Tensor,
) -> GameSteps:
    """:func:`tabular_actions` of the second player, then one step of :func:`matrix_game_steps`, in one call; CPU only.

    Args:
        payoffs: (2, A_1, A_2) float32 or float64, with at most 255 joint actions.
        probabilities: (R, S, A_2), the second player's policies.
        rows: (E,) int64, or None, as in :func:`tabular_actions`; so are ``seeds`` and ``clocks``.
        seeds: (E,) int64, or None.
        clocks: (E,) int64, or None.
        actions: (E,) int64, the first player's.
        states: (E,) uint8, where the second player stands.
        elapsed: (E,) int32, as in :func:`matrix_game_steps`; so are ``episode_length`` and ``autoreset``.
        episode_length: steps until truncation; 0 for never.
        autoreset: one of :data:`AUTORESETS`.
        joint: memory (2, 1, E) uint8 for both players' actions.
        out: memory for the results, of ``joint`` as actions.
        seen: memory (E,) int64 for the states that the first player sees after the step.

    Returns:
        ``out``, filled; after an error its contents, and those of ``joint`` and ``seen``, mean nothing.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: as :func:`tabular_actions` and :func:`matrix_game_steps`.
    """
    given = (payoffs, probabilities, rows, seeds, clocks, actions, states, elapsed, episode_length, autoreset)
    _turn(*given, joint, *out, seen)
    return out


@torch.library.register_fake("mamrl::matrix_game_turn")
def _(payoffs: Tensor, *others: object) -> None:
    return None


@torch.library.register_fake("mamrl::matrix_game_steps")
def _(payoffs: Tensor, actions: Tensor, elapsed: Tensor, episode_length: int, autoreset: str, *results: Tensor) -> None:
    return None


@torch.library.register_fake("mamrl::tabular_actions")
def _(
    probabilities: Tensor,
    states: Tensor,
    rows: Tensor | None,
    seeds: Tensor | None,
    clocks: Tensor | None,
    player: int,
) -> Tensor:
    return torch.empty_like(states)


def _steps_in_torch(
    payoffs: Tensor, actions: Tensor, elapsed: Tensor, episode_length: int, autoreset: str, *results: Tensor
) -> None:
    """The op where no kernel is: the twin, after the checks without which it would read out of bounds."""
    counts = torch.tensor(payoffs.shape[1:], device=actions.device).view(-1, 1, 1)
    if bool(((actions < 0) | (actions >= counts)).any()):
        raise ValueError(f"actions holds one out of range, expected at least 0 and below {tuple(payoffs.shape[1:])}")
    last = episode_length - actions.shape[1] if autoreset == "disabled" else episode_length
    if episode_length and bool((elapsed > last).any()):
        raise ValueError(f"elapsed holds {int(elapsed.max())}, expected 0 to {last}")
    for to, values in zip(
        results, reference.matrix_game_steps(payoffs, actions, elapsed, episode_length, autoreset), strict=True
    ):
        to.copy_(values)


def _actions_in_torch(
    probabilities: Tensor,
    states: Tensor,
    rows: Tensor | None,
    seeds: Tensor | None,
    clocks: Tensor | None,
    player: int,
) -> Tensor:
    """The op where no kernel is."""
    for name, index, size in (("states", states, probabilities.shape[1]), ("rows", rows, probabilities.shape[0])):
        if index is not None and bool(((index < 0) | (index >= size)).any()):
            raise ValueError(f"{name} holds one out of range, expected at least 0 and below {size}")
    return reference.tabular_actions(probabilities, states, rows, seeds, clocks, player)


torch.library.impl("mamrl::matrix_game_steps", "CUDA", _steps_in_torch)
torch.library.impl("mamrl::tabular_actions", "CUDA", _actions_in_torch)
