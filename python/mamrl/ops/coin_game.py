"""The coin game as environments: many at once, one step or many a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mamrl.errors import choose
from mamrl.ops._call import bind
from mamrl.ops.reference import AUTORESETS

_steps = bind("coin_game_steps")

OBSERVATIONS = ("planes", "positions")
PLANE_DTYPES = (torch.float32, torch.uint8)

__all__ = ["OBSERVATIONS", "PLANE_DTYPES", "CoinGameSteps", "coin_game_steps"]


class CoinGameSteps(NamedTuple):
    """What T steps of E environments give.

    Attributes:
        observations: (2, T, E, 4) uint8 positions, or (2, T, E, 4, H, W) planes, after each step.
        final_observations: the same before "same-step" starts a new episode; empty in other modes.
        rewards: (2, T, E) float32.
        truncations: (T, E) bool.
        state: (E, 4) uint8, for the next call, as are the last two.
        elapsed: (E,) int32.
        clocks: (E,) int64.
    """

    observations: Tensor
    final_observations: Tensor
    rewards: Tensor
    truncations: Tensor
    state: Tensor
    elapsed: Tensor
    clocks: Tensor

    @staticmethod
    def empty(
        rules: Sequence[int],
        horizon: int,
        num_envs: int,
        autoreset: str,
        observation: str,
        dtype: torch.dtype = torch.float32,
    ) -> CoinGameSteps:
        """Memory for the results of ``horizon`` steps of ``num_envs`` environments.

        Args:
            rules: of ``mamrl.games.coin_game.CoinGame.rules()``, the grid first.
            horizon: T.
            num_envs: E.
            autoreset: as the steps will have it.
            observation: one of :data:`OBSERVATIONS`.
            dtype: of planes, one of :data:`PLANE_DTYPES`.

        Raises:
            ValueError: an unknown observation.
        """
        shape = (2, horizon, num_envs)
        if choose("observation", observation, OBSERVATIONS) == "planes":
            seen = (*shape, 4, *rules[:2])
        else:
            seen, dtype = (*shape, 4), torch.uint8
        return CoinGameSteps(
            torch.empty(seen, dtype=dtype),
            torch.empty(seen if autoreset == "same-step" else 0, dtype=dtype),
            torch.empty(shape),
            torch.empty(shape[1:], dtype=torch.bool),
            torch.empty(num_envs, 4, dtype=torch.uint8),
            torch.empty(num_envs, dtype=torch.int32),
            torch.empty(num_envs, dtype=torch.int64),
        )


def coin_game_steps(
    rules: Sequence[int],
    state: Tensor,
    actions: Tensor,
    elapsed: Tensor,
    seeds: Tensor,
    clocks: Tensor,
    episode_length: int = 0,
    autoreset: str = "next-step",
    observation: str = "planes",
    dtype: torch.dtype = torch.float32,
    out: CoinGameSteps | None = None,
) -> CoinGameSteps:
    """T steps of E environments of the coin game, both players' actions given; CPU only, nothing is differentiable.

    States, actions and what the players see are those of :mod:`mamrl.games.coin_game`. An environment draws by Philox
    (Salmon et al. 2011) keyed by its seed and counted by its clock, and depends on nothing else: not on the batch it is
    in, nor on the number of threads. A step takes one tick of the clock, the start of an episode four.

    An episode is truncated after ``episode_length`` steps. What then happens is ``autoreset``: "next-step", the next
    step ignores its actions, starts an episode and pays 0; "same-step", the step that ends an episode shows the start
    of the next, and ``final_observations`` what it reached; "disabled", the environments have to be reset before they
    go on.

    Args:
        rules: ``CoinGame.rules()``.
        state: (E, 4) uint8.
        actions: (2, T, E) int64 or uint8.
        elapsed: (E,) int32, the steps that each environment's episode has had.
        seeds: (E,) int64.
        clocks: (E,) int64.
        episode_length: steps until truncation; 0 for never.
        autoreset: "next-step", "same-step" or "disabled".
        observation: "planes" or "positions"; not looked at where ``out`` is given, nor is the next.
        dtype: of planes, float32 or uint8.
        out: memory for the results, as :meth:`CoinGameSteps.empty` makes it; None takes fresh memory.

    Returns:
        ``out``, filled; after an error its contents mean nothing.

    Raises:
        TypeError: a dtype is not as above.
        ValueError: a shape or a mode is not as above, an action, a state or ``elapsed`` is out of range, or an episode
            is over and ``autoreset`` is "disabled".
    """
    rules = list(rules)
    if out is None:
        if actions.dim() != 3:
            raise ValueError(f"actions has shape {tuple(actions.shape)}, expected (2, T, E)")
        choose("autoreset", autoreset, AUTORESETS)
        _, horizon, num_envs = actions.shape
        out = CoinGameSteps.empty(rules, horizon, num_envs, autoreset, observation, dtype)
    _steps(rules, state, actions, elapsed, seeds, clocks, episode_length, autoreset, *out)
    return out


@torch.library.register_fake("mamrl::coin_game_steps")
def _(rules: list[int], state: Tensor, *others: object) -> None:
    return None
