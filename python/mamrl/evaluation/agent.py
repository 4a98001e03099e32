"""A trained agent that is asked: what it does, what it would do, and itself as a program of torch alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mamrl.games.base import Game
from mamrl.games.stepping import step
from mamrl.ops.reference import lstm_cell
from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.policies.module import ModulePolicy


@dataclass(frozen=True)
class AgentState:
    """What an agent remembers of games that go on side by side: opaque, to be handed back to :meth:`Agent.act`."""

    memory: Any
    games: int


@dataclass(frozen=True, eq=False)
class Agent:
    """A policy with its parameters, in a game whose observations are states of a table.

    Attributes:
        game: what it plays.
        policy: of the player.
        parameters: (P,).

    Raises:
        ValueError: the game's observations are no table of states.
    """

    game: Game
    policy: Any
    parameters: Tensor

    def __post_init__(self) -> None:
        if not self.game.num_states:
            raise ValueError(f"{self.game.name} has no table of states, expected a game that an agent can be asked in")

    def act(
        self, observations: Any, state: AgentState | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, AgentState]:
        """Draws an action for each game that is played, from what the agent sees now and what it remembers.

        Args:
            observations: states of the game as the player sees them, int64 of any shape, or their names; one of either
                for one game.
            state: what the last call returned; None as games begin.
            generator: draws; torch's own if None.

        Returns:
            Actions, int64 of the observations' shape, and the state for the next call.

        Raises:
            TypeError: observations are not integers.
            ValueError: one is out of range, or the state is of another number of games.
        """
        seen = self._states("observations", observations)
        if state is not None and state.games != seen.numel():
            raise ValueError(f"observations are of {seen.numel()} games, expected the state's {state.games}")
        probabilities, memory = self._step(seen.flatten(), None if state is None else state.memory)
        actions = torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
        return actions.view(seen.shape), AgentState(memory, seen.numel())

    def probabilities(self, history: Any) -> Tensor:
        """Of each action at the end of a history.

        Args:
            history: the states that the player saw from the start of a game to now, (T,) or (T, ...) for several games,
                int64; or the names that the game has for them, such as ``["start", "CC"]``.

        Returns:
            (A,) or (..., A).

        Raises:
            TypeError: they are not integers or names.
            ValueError: there are none, or one is out of range or unknown.
        """
        states = self._states("history", history)
        if states.dim() == 0 or not len(states):
            raise ValueError(f"history has shape {tuple(states.shape)}, expected at least one time")
        memory, probabilities = None, torch.empty(0)
        for seen in states.flatten(1) if states.dim() > 1 else states.unsqueeze(-1):
            probabilities, memory = self._step(seen, memory)
        return probabilities.view(*states.shape[1:], -1)

    def export(self, path: str | Path | None = None) -> torch.export.ExportedProgram:
        """The agent as a program of ``torch.export``, which runs where mamrl is not installed.

        A table's program takes states (K,) int64 to probabilities (K, A). An LSTM's takes states, hidden and cell state
        (K, N), zeros at first, to probabilities and the next two. A module's is the module: states (T, K), and what it
        gives for them.

        Args:
            path: where to write it (a file ``.pt2``); None writes nothing.

        Raises:
            TypeError: the policy is of another kind.
        """
        states = torch.zeros(2, dtype=torch.int64)
        games = torch.export.Dim("games", min=1)
        example: tuple[Tensor, ...]
        sizes: tuple[Any, ...]
        program: nn.Module
        if isinstance(self.policy, TabularPolicy):
            table = self.policy.table(self.parameters.unsqueeze(0))[0].softmax(-1)
            program, example, sizes = _Table(table), (states,), ({0: games},)
        elif isinstance(self.policy, LSTMPolicy):
            zeros = torch.zeros(2, self.policy.hidden_size)
            program = _LSTMStep(*(t[0] for t in self.policy.networks(self.parameters.unsqueeze(0))))
            example, sizes = (states, zeros, zeros.clone()), ({0: games},) * 3
        elif isinstance(self.policy, ModulePolicy):
            program = copy.deepcopy(self.policy).load(self.parameters).eval()
            example, sizes = (torch.zeros(3, 2, dtype=torch.int64),), ({1: games},)
        else:
            raise TypeError(f"the policy is {type(self.policy).__name__}, expected a table, an LSTM or a torch module")
        exported = torch.export.export(program, example, dynamic_shapes=sizes)
        if path is not None:
            torch.export.save(exported, path)
        return exported

    @torch.no_grad()
    def _step(self, seen: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """States (K,) -> probabilities (K, A)."""
        logits, memory = step(self.policy, self.parameters.unsqueeze(0), seen.unsqueeze(0), memory)
        return torch.softmax(logits[0], dim=-1), memory

    def _states(self, name: str, given: Any) -> Tensor:
        if isinstance(given, str):
            given = self._named(name, [given])[0]
        elif isinstance(given, Sequence) and given and all(isinstance(item, str) for item in given):
            given = self._named(name, given)
        states = torch.as_tensor(given)
        if states.numel() and (states.is_floating_point() or states.is_complex() or states.dtype == torch.bool):
            raise TypeError(f"{name} is {states.dtype}, expected integers")
        num_states = self.game.num_states
        assert num_states is not None
        outside = (states < 0) | (states >= num_states)
        if bool(outside.any()):
            raise ValueError(f"{name} holds {int(states[outside][0])}, expected at least 0 and below {num_states}")
        return states.to(self.parameters.device, torch.int64)

    def _named(self, name: str, given: Sequence[str]) -> list[int]:
        names = self.game.state_names()
        unknown = [item for item in given if item not in names]
        if unknown:
            raise ValueError(f"{name} holds {unknown[0]!r}, expected names among {', '.join(names)}")
        return [names.index(item) for item in given]


class _Table(nn.Module):
    """States (K,) -> probabilities (K, A)."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.detach().clone())

    def forward(self, states: Tensor) -> Tensor:
        return torch.nn.functional.embedding(states, self.get_buffer("table"))


class _LSTMStep(nn.Module):
    """States (K,), hidden and cell state (K, N) -> probabilities (K, A), and the next hidden and cell state."""

    def __init__(self, table: Tensor, recurrent: Tensor, head: Tensor, bias: Tensor) -> None:
        super().__init__()
        for name, tensor in {"table": table, "recurrent": recurrent, "head": head, "bias": bias}.items():
            self.register_buffer(name, tensor.detach().clone())

    def forward(self, states: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates = self.get_buffer("table")[states] + hidden @ self.get_buffer("recurrent").mT
        hidden, cell = lstm_cell(gates, cell)
        return torch.softmax(hidden @ self.get_buffer("head").mT + self.get_buffer("bias"), dim=-1), hidden, cell
