"""Matrix games as environments."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.ops.reference.random import WORD, philox
from mamrl.ops.reference.rollout import joint_state

AUTORESETS = ("next-step", "same-step", "disabled")


def matrix_game_steps(
    payoffs: Tensor, actions: Tensor, elapsed: Tensor, episode_length: int, autoreset: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """T steps of E environments: payoffs (n, A_1, ..., A_n), actions (n, T, E), elapsed (E,) int32 steps since a start.

    Returns:
        states (n, T, E) after each step, final_states (n, T, E) before "same-step" put the next start in their place
        (empty in other modes), rewards (n, T, E), truncations (T, E) bool, and elapsed after the last step.
    """
    num_players, action_counts = payoffs.shape[0], payoffs.shape[1:]
    joint = actions.long()
    states = torch.stack([joint_state(joint, p, action_counts) for p in range(num_players)])
    rewards = payoffs[(slice(None), *joint)]
    final_states = states.clone() if autoreset == "same-step" else states.new_empty(0)
    truncations = torch.zeros(actions.shape[1:], dtype=torch.bool, device=actions.device)
    elapsed = elapsed.clone()
    for t in range(actions.shape[1] if episode_length else 0):
        waiting = (elapsed == episode_length) & (autoreset == "next-step")
        elapsed = torch.where(waiting, 0, elapsed + 1)
        truncations[t] = elapsed == episode_length
        rewards[:, t, waiting] = 0
        started = waiting
        if autoreset == "same-step":
            started = truncations[t]
            elapsed = torch.where(started, 0, elapsed)
        states[:, t, started] = 0
    return states.to(actions.dtype), final_states.to(actions.dtype), rewards, truncations, elapsed


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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A step of two players, the first one's actions (E,) given and the second one's drawn at its states (E,)."""
    joint = torch.stack([actions.to(states.dtype), tabular_actions(probabilities, states, rows, seeds, clocks, 1)])
    return matrix_game_steps(payoffs, joint.unsqueeze(1), elapsed, episode_length, autoreset)


def tabular_actions(
    probabilities: Tensor,
    states: Tensor,
    rows: Tensor | None,
    seeds: Tensor | None,
    clocks: Tensor | None,
    player: int,
) -> Tensor:
    """Actions (E,) at states (E,), from row ``rows`` (E,) of probabilities (R, S, A); rows None is row 0.

    An environment's draw is Philox's, keyed by its seed and counted by its clock, both (E,) int64; where both are None
    nothing is random, and every distribution has to be sure of its action.
    """
    row = torch.zeros_like(states, dtype=torch.int64) if rows is None else rows
    cumulated = probabilities[row, states.long()].cumsum(-1)
    uniform = torch.zeros(len(states), dtype=torch.float64, device=states.device)
    if seeds is not None and clocks is not None:
        stream = clocks >> 32
        counter = [clocks & WORD, torch.full_like(clocks, (player // 4) << 24), stream & WORD, (stream >> 32) & WORD]
        words = philox(counter, [seeds & WORD, (seeds >> 32) & WORD])
        uniform = (words[player % 4] >> 8).to(torch.float64) * 2.0**-24
    reached = cumulated[..., :-1] <= uniform.to(cumulated.dtype).unsqueeze(-1) * cumulated[..., -1:]
    return reached.sum(-1).to(states.dtype)
