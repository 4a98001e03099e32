"""Gaussian LSTM policies on dense observations, the papers' HalfCheetah agents (Kim et al. 2021, appendix B.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl import ops
from mamrl.games.factorization import NUM_ACTIONS, NUM_OBSERVATIONS, Factorization
from mamrl.policies.lstm import LSTMNetwork

# tells rollouts that this policy walks a robot
GAUSSIAN = -2
_LEAST_LOG_STD = math.log(1e-6)


@dataclass(frozen=True)
class GaussianLSTMPolicy:
    """Linear(O, N) -> ReLU -> LSTM(N) -> Linear(N, A) gives the mean; the log standard deviation is a parameter.

    It is handed all agents' observations and actions and picks its own columns. The parameters (M, P) are those of the
    network in the order of :meth:`mamrl.policies.lstm.LSTMNetwork.shapes`, then A log standard deviations, 0 at first.

    Attributes:
        observation_columns: which of the 17 observations it sees.
        action_columns: which of the 6 joints it moves.
        hidden_size: N.
        gradient_carry: as :class:`~mamrl.policies.lstm.LSTMNetwork`'s.
    """

    observation_columns: tuple[int, ...] = tuple(range(NUM_OBSERVATIONS))
    action_columns: tuple[int, ...] = tuple(range(NUM_ACTIONS))
    hidden_size: int = 64
    kind: int = GAUSSIAN
    gradient_carry: float = 1.0

    @property
    def network(self) -> LSTMNetwork:
        """Gives the means."""
        return LSTMNetwork(len(self.observation_columns), self.num_actions, self.hidden_size, self.gradient_carry)

    @property
    def num_actions(self) -> int:
        """How many joints it moves."""
        return len(self.action_columns)

    @property
    def num_parameters(self) -> int:
        """P: the network's, and one log standard deviation a joint."""
        return self.network.num_parameters + self.num_actions

    def initial(self, generator: torch.Generator) -> Tensor:
        """Xavier-normal weights, zero biases, standard deviations of one."""
        return torch.cat([self.network.initial(generator), torch.zeros(self.num_actions)])

    def weights(self, parameters: Tensor) -> list[Tensor]:
        """(M, P) -> the seven tensors of the network and the log standard deviations (M, A)."""
        if parameters.dim() != 2 or parameters.shape[1] != self.num_parameters:
            raise ValueError(
                f"parameters have shape {tuple(parameters.shape)}, expected (chains, {self.num_parameters})"
            )
        network, log_std = parameters.split([self.network.num_parameters, self.num_actions], dim=-1)
        return [*self.network.weights(network), log_std]

    def means(self, parameters: Tensor, observations: Tensor) -> Tensor:
        """The actions' means (T, M, K, A) at observations (T, M, K, 17), differentiable twice in (M, P)."""
        w_in, b_in, w_gates, w_recurrent, b_gates, w_head, b_head, _ = self.weights(parameters)
        horizon, chains, trajectories = observations.shape[:3]
        seen = observations[..., list(self.observation_columns)].transpose(0, 1).reshape(chains, -1, w_in.shape[-1])
        embedded = torch.relu(torch.baddbmm(b_in.unsqueeze(1), seen, w_in.mT))
        gates = torch.baddbmm(b_gates.unsqueeze(1), embedded, w_gates.mT)
        gates = gates.view(chains, horizon, trajectories, -1).transpose(0, 1).contiguous()
        return ops.lstm(gates, None, w_recurrent, w_head, b_head, self.gradient_carry)

    def log_probs(
        self, parameters: Tensor, observations: Tensor, actions: Tensor, recorded: Sequence[Tensor] = ()
    ) -> Tensor:
        """Log densities of actions, ``sum_j log N(a_j; mean_j, std_j^2)`` over the joints that it moves.

        Args:
            parameters: (M, P).
            observations: (T, M, K, 17), everyone's.
            actions: (T, M, K, 6), everyone's, as drawn: not clipped.
            recorded: not used; rollouts of this policy record nothing.

        Returns:
            (T, M, K), twice differentiable in the parameters.
        """
        log_std = self._log_std(parameters)
        own = actions[..., list(self.action_columns)]
        distance = (own - self.means(parameters, observations)) * torch.exp(-log_std)
        return -(0.5 * distance.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropies(self, parameters: Tensor, observations: Tensor, recorded: Sequence[Tensor] = ()) -> Tensor:
        """Differential entropies (T, M, K) in nats: the same at every time."""
        entropy = (self._log_std(parameters) + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        return entropy.expand(observations.shape[:3])

    def _log_std(self, parameters: Tensor) -> Tensor:
        """(M, 1, A), at least log 1e-6."""
        return self.weights(parameters)[-1].clamp(min=_LEAST_LOG_STD).unsqueeze(1)


def gaussian_policies(
    factorization: str | Sequence[Sequence[str]] | Factorization = "2x3",
    neighbours: int | None = None,
    hidden_size: int = 64,
) -> tuple[GaussianLSTMPolicy, ...]:
    """One policy an agent of a factorization.

    Args:
        factorization: as :class:`mamrl.games.half_cheetah.HalfCheetah` takes it.
        neighbours: likewise, what an agent sees.
        hidden_size: N.

    Raises:
        ValueError: an unknown or wrong factorization, or negative ``neighbours``.
    """
    shared = Factorization.of(factorization)
    columns = zip(shared.observation_columns(neighbours), shared.action_columns(), strict=True)
    return tuple(
        GaussianLSTMPolicy(tuple(map(int, seen)), tuple(map(int, moved)), hidden_size) for seen, moved in columns
    )
