"""Tabular policies: one distribution a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl import ops
from mamrl.errors import choose
from mamrl.ops import reference
from mamrl.ops.tensors import as_tensor
from mamrl.policies.base import check_rows
from mamrl.policies.checks import check_actions, trusted

PARAMETRISATIONS = ("logit", "softmax")


@dataclass(frozen=True)
class TabularPolicy:
    """One distribution a state.

    The parameters are S * A logits of a softmax, or with two actions, where nothing else is asked for, S logits of
    action 0. The policies are the same, how they learn is not: a gradient step moves both logits of a softmax, and so
    their difference, which is the one logit, by twice as much.

    Attributes:
        num_states: S.
        num_actions: A.
        parametrisation: one of ``PARAMETRISATIONS``; with three actions or more it is "softmax" in either case.
    """

    num_states: int
    num_actions: int
    kind: int = reference.TABULAR
    memoryless: bool = True
    parametrisation: str = "logit"

    def __post_init__(self) -> None:
        choose("parametrisation", self.parametrisation, PARAMETRISATIONS)

    @property
    def one_logit(self) -> bool:
        """Whether a state has one parameter, the logit of action 0."""
        return self.num_actions == 2 and self.parametrisation == "logit"

    @property
    def num_parameters(self) -> int:
        """P."""
        return self.num_states * (1 if self.one_logit else self.num_actions)

    def initial(self, generator: torch.Generator) -> Tensor:
        """Zeros (P,): every action as likely as any other."""
        return torch.zeros(self.num_parameters)

    def table(self, parameters: Tensor) -> Tensor:
        """Logits of every state, (M, P) -> (M, S, A)."""
        check_rows("parameters", parameters, self.num_parameters)
        if self.one_logit:
            return torch.stack([parameters, torch.zeros_like(parameters)], dim=-1)
        return parameters.view(-1, self.num_states, self.num_actions)

    def parameters_of(self, probabilities: Tensor) -> Tensor:
        """The parameters (..., P) that give action probabilities (..., S, A), all of them within (0, 1)."""
        expected = (self.num_states, self.num_actions)
        probabilities = as_tensor("probabilities", probabilities)
        if tuple(probabilities.shape[-2:]) != expected:
            raise ValueError(
                f"probabilities have shape {tuple(probabilities.shape)}, expected (..., {expected[0]}, {expected[1]})"
            )
        if not trusted() and not bool(((probabilities > 0) & (probabilities < 1)).all()):
            raise ValueError("probabilities hold one outside (0, 1), whose logit is not finite")
        logs = torch.log(probabilities)
        if self.one_logit:
            return logs[..., 0] - logs[..., 1]
        return logs.flatten(-2)

    def networks(self, parameters: Tensor) -> list[Tensor]:
        """See :meth:`mamrl.policies.base.CategoricalPolicy.networks`."""
        return [self.table(parameters)]

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """See :meth:`mamrl.policies.base.CategoricalPolicy.logits`."""
        index = states.unsqueeze(-1) * self.num_actions + torch.arange(self.num_actions, device=states.device)
        flat = ops.table_lookup(self.table(parameters).flatten(1), index.flatten(2))
        return flat.view(*states.shape, self.num_actions)

    def log_probs(self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.base.Policy.log_probs`."""
        if not recorded:
            check_actions(actions, self.num_actions)
        table = torch.log_softmax(self.table(parameters), dim=-1).flatten(1)
        return ops.table_lookup(table, states * self.num_actions + actions)

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.base.Policy.entropies`."""
        logs = torch.log_softmax(self.table(parameters), dim=-1)
        return ops.table_lookup(-(logs.exp() * logs).sum(-1), states)
