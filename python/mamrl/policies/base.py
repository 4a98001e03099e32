"""What the chain of joint policies asks of a policy, and the parts that policies share.

A policy holds no parameters. It says how many there are, draws initial ones, turns rows (M, P) into the tensors that
the rollout kernel takes, and gives log-probabilities of recorded actions as a differentiable function of those rows.
Shapes: T time, M chains, K trajectories, S states, A actions, N hidden units, P parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Policy(Protocol):
    """What the chain of joint policies asks of a policy, whatever the game."""

    @property
    def num_parameters(self) -> int:
        """P."""
        ...

    def initial(self, generator: torch.Generator) -> Tensor:
        """Fresh parameters (P,)."""
        ...

    def log_probs(
        self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = (), /
    ) -> Tensor:
        """Log-probabilities (T, M, K) of actions in states, as Trajectories hold them, differentiable in (M, P)."""
        ...

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = (), /) -> Tensor:
        """Entropies (T, M, K) of the action distributions in nats, differentiable in (M, P)."""
        ...


class CategoricalPolicy(Policy, Protocol):
    """What a matrix game asks of a policy besides."""

    @property
    def num_states(self) -> int:
        """S."""
        ...

    @property
    def num_actions(self) -> int:
        """A."""
        ...

    @property
    def kind(self) -> int:
        """``reference.TABULAR``, ``reference.LSTM`` or ``mamrl.games.matrix_play.MODULE``."""
        ...

    def networks(self, parameters: Tensor) -> list[Tensor]:
        """What :func:`mamrl.ops.rollout.matrix_game_rollout` takes, from rows (M, P)."""
        ...

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """Unnormalised log-probabilities (T, M, K, A) after the states so far, (T, M, K)."""
        ...


def categorical_log_probs(logits: Tensor, actions: Tensor) -> Tensor:
    """log softmax(logits)[action]: (..., A), (...) -> (...)."""
    if logits.shape[-1] == 2:
        # a softmax over two is a logistic of the difference: a third of the work, and its derivatives stay stable
        difference = logits[..., 0] - logits[..., 1]
        return torch.nn.functional.logsigmoid(difference * (1 - 2 * actions).to(logits.dtype))
    return torch.log_softmax(logits, dim=-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def check_rows(name: str, rows: Tensor, size: int) -> None:
    if not isinstance(rows, Tensor):
        raise TypeError(f"{name} are {type(rows).__name__}, expected a torch.Tensor")
    if rows.dim() != 2 or rows.shape[1] != size:
        raise ValueError(f"{name} have shape {tuple(rows.shape)}, expected (chains, {size})")
