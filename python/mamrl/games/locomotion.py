"""HalfCheetah as a game of the chain of joint policies: Gaussian LSTM policies walk it, rolled out in C++."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mamrl.games.base import Game
from mamrl.games.factorization import NUM_ACTIONS, NUM_OBSERVATIONS, Factorization
from mamrl.games.half_cheetah import load_robot
from mamrl.games.trajectories import Trajectories

if TYPE_CHECKING:
    from mamrl.policies.gaussian import GaussianLSTMPolicy


@dataclass(frozen=True)
class HalfCheetahGame(Game):
    """Agents who share out HalfCheetah's joints and a reward, and play ``horizon`` control steps from a random start.

    Attributes:
        direction: +1 to run right, -1 to run left.
        factorization: a name of ``mamrl.games.factorization.FACTORIZATIONS``.
        reward_scale: multiplies the reward ``direction * dx/dt - .1 |a|^2``; the papers divide it by 100.
        control_cost: of the squared norm of the clipped actions.
        reset_noise: of the starts.
        frame_skip: physics steps of .01 s in a control step.
    """

    direction: float = 1.0
    factorization: str = "2x3"
    reward_scale: float = 0.01
    control_cost: float = 0.1
    reset_noise: float = 0.1
    frame_skip: int = 5
    name: str = "half-cheetah"

    def __post_init__(self) -> None:
        if self.direction not in (-1, 1):
            raise ValueError(f"direction is {self.direction}, expected +1 or -1")
        Factorization.of(self.factorization)

    @property
    def num_players(self) -> int:
        """How many agents share out the joints."""
        return len(Factorization.of(self.factorization).partition)

    def play(
        self,
        policies: Sequence[GaussianLSTMPolicy],
        parameters: Sequence[Tensor],
        keys: Tensor,
        num_trajectories: int,
        horizon: int,
        value_network: Any = None,
        value_parameters: Tensor | None = None,
        num_threads: int | None = None,
    ) -> Trajectories:
        """Samples trajectories with fixed parameters; nothing here is differentiable.

        Args:
            policies: one an agent; between them they move each joint once.
            parameters: each policy's rows (M, P), float32 or float64.
            keys: (M, 2) int64, see :func:`mamrl.games.trajectories.random_keys`. Results depend on them alone, not on
                threads or on how many chains and trajectories there are beside.
            num_trajectories: K.
            horizon: T.
            value_network: None: there is none for observations.
            value_parameters: None, likewise.
            num_threads: torch's number of threads if None.

        Returns:
            Trajectories whose ``states`` are the observations (n, T, M, K, 17) and ``actions`` the actions as drawn
            (n, T, M, K, 6), the same for each agent, as views; ``rewards`` (n, T, M, K) likewise. A simulation that
            diverges stays where it is with reward 0; ``diverged`` counts them.

        Raises:
            ValueError: policies, parameters or keys do not fit together, or parameters are NaN or infinite.
            ImportError: MuJoCo is missing.
        """
        if value_network is not None:
            raise ValueError("value_network is given, expected None: HalfCheetah's observations are no table of states")
        rows = [row.detach() for row in parameters]
        self._check(policies, rows, keys, num_trajectories, horizon)
        size = (horizon, keys.shape[0], num_trajectories)
        observations = rows[0].new_empty(*size, NUM_OBSERVATIONS)
        actions = rows[0].new_empty(*size, NUM_ACTIONS)
        rewards = rows[0].new_empty(size)
        diverged = np.empty(size[1:], np.int64)
        module, robot = load_robot()
        module.play(
            robot,
            [_agent(policy, row) for policy, row in zip(policies, rows, strict=True)],
            keys.contiguous().numpy(),
            direction=float(self.direction),
            reset_noise=self.reset_noise,
            control_cost=self.control_cost,
            reward_scale=self.reward_scale,
            frame_skip=self.frame_skip,
            num_threads=num_threads or torch.get_num_threads(),
            simd_level=torch.ops.mamrl.simd_level(),
            observations=observations.numpy(),
            actions=actions.numpy(),
            rewards=rewards.numpy(),
            diverged=diverged,
        )
        n = len(rows)
        return Trajectories(
            observations.expand(n, *observations.shape),
            actions.expand(n, *actions.shape),
            rewards.expand(n, *rewards.shape),
            diverged=int((diverged >= 0).sum()),
        )

    def _check(
        self,
        policies: Sequence[GaussianLSTMPolicy],
        rows: Sequence[Tensor],
        keys: Tensor,
        num_trajectories: int,
        horizon: int,
    ) -> None:
        if not len(policies) == len(rows) == self.num_players:
            raise ValueError(
                f"the game has {self.num_players} agents, got {len(policies)} policies and {len(rows)} parameters"
            )
        moved = sorted(column for policy in policies for column in policy.action_columns)
        if moved != list(range(NUM_ACTIONS)):
            raise ValueError(f"the policies move joints {moved}, expected each of the {NUM_ACTIONS} once")
        if keys.dtype != torch.int64 or keys.dim() != 2 or keys.shape[1] != 2:
            raise ValueError(f"keys have shape {tuple(keys.shape)} and {keys.dtype}, expected (M, 2) and torch.int64")
        for agent, row in enumerate(rows):
            if row.shape[:1] != keys.shape[:1] or row.dtype != rows[0].dtype or row.device.type != "cpu":
                raise ValueError(
                    f"agent {agent}'s parameters have shape {tuple(row.shape)}, {row.dtype}, on {row.device}; expected "
                    f"{keys.shape[0]} rows of {rows[0].dtype} on the CPU"
                )
            if not bool(row.isfinite().all()):
                raise ValueError(f"agent {agent}'s parameters hold NaN or infinite values, expected finite ones")
        if num_trajectories < 1 or num_trajectories >= 2**24 or horizon < 1:
            raise ValueError(
                f"num_trajectories is {num_trajectories} and horizon {horizon}, expected 1 to 2^24 - 1 and at least 1"
            )


def _agent(policy: GaussianLSTMPolicy, row: Tensor) -> tuple[list[np.ndarray], list[int], list[int]]:
    weights = [weight.contiguous().numpy() for weight in policy.weights(row)]
    return weights, list(policy.observation_columns), list(policy.action_columns)
