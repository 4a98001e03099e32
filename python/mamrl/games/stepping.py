"""One step of a policy at a time, for rollouts in Python and for agents that are asked what they would do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def step(policy: Any, parameters: Tensor, states: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
    """What a policy gives for the states of one time, and what it remembers of them.

    A policy with a method of this name and these arguments after itself takes the step with it, at a cost that does
    not grow with time. Others are run on the state alone where they are ``memoryless``, and on the past once more
    where they are not.

    Args:
        policy: of the player.
        parameters: its rows (M, P).
        states: (M, K) int64, or what else the policy sees, with that shape in front.
        memory: what the last step returned; None at the first.

    Returns:
        Its logits (M, K, A), and the memory for the next step.
    """
    if hasattr(policy, "step"):
        logits, memory = policy.step(parameters, states, memory)
        return logits, memory
    return step_from_sequence(policy, parameters, states, memory)


def step_from_sequence(policy: Any, parameters: Tensor, states: Tensor, memory: Tensor | None) -> tuple[Tensor, Any]:
    """:func:`step` by the policy's ``logits`` alone; the memory is all states so far."""
    past = states.unsqueeze(0)
    if getattr(policy, "memoryless", False):
        return policy.logits(parameters, past)[-1], None
    if memory is not None:
        past = torch.cat([memory, past])
    return policy.logits(parameters, past)[-1], past
