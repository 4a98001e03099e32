"""Policies as pure functions of flat parameters, one row a chain: parameter layout, initial values and heads.

A policy holds no parameters. It says how many there are, draws initial ones, turns rows (M, P) into the tensors that
the rollout kernel takes, and gives log-probabilities of recorded actions as a differentiable function of those rows.
Shapes: T time, M chains, K trajectories, S states, A actions, N hidden units, P parameters.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack

from mamrl import ops, reference


class Policy(Protocol):
    """What the chain of joint policies asks of a policy of a matrix game."""

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
        """``reference.TABULAR``, ``reference.LSTM`` or ``module_policy.MODULE``."""
        ...

    @property
    def num_parameters(self) -> int:
        """P."""
        ...

    def initial(self, generator: torch.Generator) -> Tensor:
        """Fresh parameters (P,)."""
        ...

    def networks(self, parameters: Tensor) -> list[Tensor]:
        """What :func:`mamrl.ops.matrix_game_rollout` takes, from rows (M, P)."""
        ...

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """Unnormalised log-probabilities (T, M, K, A) after the states so far, (T, M, K)."""
        ...

    def log_probs(self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """Log-probabilities (T, M, K) of actions (T, M, K) in states (T, M, K), differentiable in (M, P)."""
        ...

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """Entropies (T, M, K) of the action distributions in nats, differentiable in (M, P)."""
        ...


@dataclass(frozen=True)
class TabularPolicy:
    """One distribution a state.

    With two actions the parameters are S logits of action 0, the papers' own parametrisation of a Bernoulli; with more
    they are S * A logits of a softmax.
    """

    num_states: int
    num_actions: int
    kind: int = reference.TABULAR
    memoryless: bool = True

    @property
    def num_parameters(self) -> int:
        """P."""
        return self.num_states * (1 if self.num_actions == 2 else self.num_actions)

    def initial(self, generator: torch.Generator) -> Tensor:
        """Zeros (P,): every action as likely as any other."""
        return torch.zeros(self.num_parameters)

    def table(self, parameters: Tensor) -> Tensor:
        """Logits of every state, (M, P) -> (M, S, A)."""
        _check_rows("parameters", parameters, self.num_parameters)
        if self.num_actions == 2:
            return torch.stack([parameters, torch.zeros_like(parameters)], dim=-1)
        return parameters.view(-1, self.num_states, self.num_actions)

    def parameters_of(self, probabilities: Tensor) -> Tensor:
        """The parameters (..., P) that give action probabilities (..., S, A), all of them within (0, 1)."""
        expected = (self.num_states, self.num_actions)
        if tuple(probabilities.shape[-2:]) != expected:
            raise ValueError(
                f"probabilities have shape {tuple(probabilities.shape)}, expected (..., {expected[0]}, {expected[1]})"
            )
        if not getattr(_LOCAL, "trusted", False) and not bool(((probabilities > 0) & (probabilities < 1)).all()):
            raise ValueError("probabilities hold one outside (0, 1), whose logit is not finite")
        logs = torch.log(probabilities)
        if self.num_actions == 2:
            return logs[..., 0] - logs[..., 1]
        return logs.flatten(-2)

    def networks(self, parameters: Tensor) -> list[Tensor]:
        """See :meth:`mamrl.policies.Policy.networks`."""
        return [self.table(parameters)]

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """See :meth:`mamrl.policies.Policy.logits`."""
        index = states.unsqueeze(-1) * self.num_actions + torch.arange(self.num_actions, device=states.device)
        flat = ops.table_lookup(self.table(parameters).flatten(1), index.flatten(2))
        return flat.view(*states.shape, self.num_actions)

    def log_probs(self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.Policy.log_probs`."""
        if not recorded:
            check_actions(actions, self.num_actions)
        table = torch.log_softmax(self.table(parameters), dim=-1).flatten(1)
        return ops.table_lookup(table, states * self.num_actions + actions)

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.Policy.entropies`."""
        logs = torch.log_softmax(self.table(parameters), dim=-1)
        return ops.table_lookup(-(logs.exp() * logs).sum(-1), states)


@dataclass(frozen=True)
class LSTMNetwork:
    """Linear(S, N) -> ReLU -> LSTM(N) -> Linear(N, outputs) on one-hot states, with flat parameters (M, P).

    On one-hot observations the first layer and the LSTM's input weights are a table of S rows of 4N gates, which is all
    that the kernels see of them. One bias a gate: torch's second one is redundant, and under the inner gradient step it
    would double the bias's learning rate.
    """

    num_states: int
    num_outputs: int
    hidden_size: int = 64

    def shapes(self) -> list[tuple[int, ...]]:
        """Input weight and bias, gate weight, recurrent weight, gate bias, head weight and bias."""
        units, gates = self.hidden_size, 4 * self.hidden_size
        return [
            (units, self.num_states),
            (units,),
            (gates, units),
            (gates, units),
            (gates,),
            (self.num_outputs, units),
            (self.num_outputs,),
        ]

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self.shapes())

    def initial(self, generator: torch.Generator) -> Tensor:
        """Xavier-normal weights, zero biases."""
        pieces = []
        for shape in self.shapes():
            piece = torch.zeros(shape)
            if len(shape) == 2:
                torch.nn.init.xavier_normal_(piece, generator=generator)
            pieces.append(piece.flatten())
        return torch.cat(pieces)

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> the tensors of :meth:`shapes`, each with a leading M."""
        _check_rows("parameters", parameters, self.num_parameters)
        shapes = self.shapes()
        split = parameters.split([math.prod(shape) for shape in shapes], dim=-1)
        return [piece.view(-1, *shape) for piece, shape in zip(split, shapes, strict=True)]

    def kernel_tensors(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> gate table (M, S, 4N), recurrent weight (M, 4N, N), head weight (M, A, N), head bias (M, A)."""
        w_in, b_in, w_gates, w_recurrent, b_gates, w_head, b_head = self.weights(parameters)
        embedded = torch.relu(w_in.mT + b_in.unsqueeze(1))
        table = torch.baddbmm(b_gates.unsqueeze(1), embedded, w_gates.mT)
        return [table, w_recurrent, w_head, b_head]

    def outputs(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """What the network gives after the states so far.

        Args:
            parameters: (M, P) float32 or float64.
            states: (T, M, K) int64.
            recorded: (outputs, saved) of the rollout that made the states, which spare the forward pass.

        Returns:
            (T, M, K, outputs), twice differentiable in the parameters.
        """
        tensors = self.kernel_tensors(parameters)
        if recorded:
            return ops.lstm_recorded(tensors[0], states, *tensors[1:], *recorded)
        return ops.lstm(tensors[0], states, *tensors[1:])


@dataclass(frozen=True)
class LSTMPolicy:
    """A categorical LSTM policy, the papers' meta-agent (Kim et al. 2021, appendix B.1)."""

    num_states: int
    num_actions: int
    hidden_size: int = 64
    kind: int = reference.LSTM

    @property
    def network(self) -> LSTMNetwork:
        """Its network, one output an action."""
        return LSTMNetwork(self.num_states, self.num_actions, self.hidden_size)

    @property
    def num_parameters(self) -> int:
        """P."""
        return self.network.num_parameters

    def initial(self, generator: torch.Generator) -> Tensor:
        """Xavier-normal weights, zero biases (P,)."""
        return self.network.initial(generator)

    def networks(self, parameters: Tensor) -> list[Tensor]:
        """See :meth:`mamrl.policies.Policy.networks`."""
        return self.network.kernel_tensors(parameters)

    def logits(self, parameters: Tensor, states: Tensor) -> Tensor:
        """See :meth:`mamrl.policies.Policy.logits`."""
        return self.network.outputs(parameters, states)

    def log_probs(self, parameters: Tensor, states: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.Policy.log_probs`."""
        if not recorded:
            check_actions(actions, self.num_actions)
        outputs = self.network.outputs(parameters, states, recorded)
        return categorical_log_probs(outputs, actions)

    def entropies(self, parameters: Tensor, states: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """See :meth:`mamrl.policies.Policy.entropies`."""
        logs = torch.log_softmax(self.network.outputs(parameters, states, recorded), dim=-1)
        return -(logs.exp() * logs).sum(-1)


def categorical_log_probs(logits: Tensor, actions: Tensor) -> Tensor:
    """log softmax(logits)[action]: (..., A), (...) -> (...)."""
    if logits.shape[-1] == 2:
        # a softmax over two is a logistic of the difference: a third of the work, and its derivatives stay stable
        difference = logits[..., 0] - logits[..., 1]
        return torch.nn.functional.logsigmoid(difference * (1 - 2 * actions).to(logits.dtype))
    return torch.log_softmax(logits, dim=-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


_LOCAL = threading.local()


@contextmanager
def own_trajectories() -> Iterator[None]:
    """Within it actions and probabilities are not checked: they come from ourselves.

    Reading them would cost the training a pass, and a recording cannot read at all.
    """
    before = getattr(_LOCAL, "trusted", False)
    _LOCAL.trusted = True
    try:
        yield
    finally:
        _LOCAL.trusted = before


def check_actions(actions: Tensor, num_actions: int) -> None:
    """Raises ValueError that names the first action outside [0, num_actions)."""
    if getattr(_LOCAL, "trusted", False):
        return
    if torch.compiler.is_compiling() or peek_interpreter_stack() is not None or actions.device.type != "cpu":
        # where numbers cannot be read, or only by waiting for a device
        return
    outside = (actions < 0) | (actions >= num_actions)
    if bool(outside.any()):
        raise ValueError(f"actions holds {int(actions[outside][0])}, expected at least 0 and below {num_actions}")


def _check_rows(name: str, rows: Tensor, size: int) -> None:
    if rows.dim() != 2 or rows.shape[1] != size:
        raise ValueError(f"{name} have shape {tuple(rows.shape)}, expected (chains, {size})")
