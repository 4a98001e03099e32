"""Differentiable games: every player's value is a known function of all players' parameters.

A game maps one parameter vector a player, each ``(*batch, D_i)``, to values ``(n, *batch)``. Players
maximise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mamrl.games.exact import check_discount, check_payoffs, exact_values, expected_rewards, player_views
from mamrl.ops.iterated_2x2 import iterated_2x2

__all__ = [
    "DifferentiableGame",
    "Iterated2x2",
    "LogisticGame",
    "StatelessZeroSum",
    "TabularGame",
    "TandemGame",
    "chicken",
    "exact_values",
    "expected_rewards",
    "iterated_matching_pennies",
    "iterated_prisoners_dilemma",
    "player_views",
    "stag_hunt",
    "table_from_cooperation_logits",
]


class DifferentiableGame(ABC):
    """A game whose values are exact and differentiable in all players' parameters."""

    #: number of parameters of each player
    sizes: tuple[int, ...]
    #: f_1(x_1, x_2) = f_2(x_2, x_1): one model can serve both players
    symmetric: bool = False

    @property
    def num_players(self) -> int:
        """How many players the game has."""
        return len(self.sizes)

    def values(self, params: Sequence[Tensor]) -> Tensor:
        """Every player's value.

        Args:
            params: For each player ``(*batch, D_i)``.

        Returns:
            ``(n, *batch)``, in the parameters' dtype, differentiable to any order.

        Raises:
            ValueError: the number of players, a shape or a dtype does not fit the game.
        """
        self.check_params(params)
        return self._values(params)

    def values_and_gradients(self, params: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Every player's value and its gradient in the player's own parameters.

        Args:
            params: For each player ``(*batch, D_i)``.

        Returns:
            Values ``(n, *batch)`` and for each player the gradient ``(*batch, D_i)``, both without a graph.

        Raises:
            ValueError: as :meth:`values`.
        """
        with torch.enable_grad():
            own = [x.detach().requires_grad_() for x in params]
            values = self.values(own)
            gradients = tuple(
                torch.autograd.grad(values[player].sum(), x, retain_graph=True)[0] for player, x in enumerate(own)
            )
        return values.detach(), gradients

    @abstractmethod
    def _values(self, params: Sequence[Tensor]) -> Tensor:
        """:meth:`values` for parameters that have been checked."""

    def check_params(self, params: Sequence[Tensor]) -> None:
        """Raises ValueError or TypeError unless there is one floating-point ``(*batch, D_i)`` tensor a player."""
        if len(params) != self.num_players:
            raise ValueError(
                f"{type(self).__name__} has {self.num_players} players, but parameters for {len(params)} were given"
            )
        for player, x in enumerate(params):
            if not isinstance(x, Tensor):
                raise TypeError(f"params[{player}] is {type(x).__name__}, expected a torch.Tensor")
        batch = params[0].shape[:-1]
        for player, (x, size) in enumerate(zip(params, self.sizes, strict=True)):
            if tuple(x.shape) != (*batch, size):
                raise ValueError(
                    f"params[{player}] must have the shape {(*batch, size)}, but {tuple(x.shape)} was given"
                )
            if not x.is_floating_point() or x.dtype != params[0].dtype:
                raise ValueError(f"params[{player}] must be floating point like params[0], but {x.dtype} was given")


class LogisticGame(DifferentiableGame):
    """The logistic game (Letcher 2018), as equation 8 of Cooijmans et al. 2023 has it, maximised.

    ``f_1(x, y) = -4 s(x) (1 - 2 s(y)) - (x^2 y^2 + (x - y)^2 (x + y)^2) / divisor``, f_2 with x and y
    exchanged, s the logistic function. Its stable points are A = (-b, -b) and B = (b, b), b = 5.0307, and
    both players prefer B.
    """

    sizes = (1, 1)
    symmetric = True

    def __init__(self, divisor: float = 10000.0) -> None:
        if not divisor > 0:
            raise ValueError(f"divisor must be positive, but {divisor} was given")
        self.divisor = divisor

    def _values(self, params: Sequence[Tensor]) -> Tensor:
        x, y = params[0][..., 0], params[1][..., 0]
        sx, sy = torch.sigmoid(x), torch.sigmoid(y)
        x2, y2 = x * x, y * y
        # (x - y)^2 (x + y)^2 = (x^2 - y^2)^2
        penalty = (x2 * y2 + (x2 - y2).square()) / self.divisor
        return torch.stack([-4 * sx * (1 - 2 * sy), -4 * sy * (1 - 2 * sx)]) - penalty


class StatelessZeroSum(DifferentiableGame):
    """The stateless zero-sum game ``V_1 = x y, V_2 = -x y`` (example 1 of Kim et al. 2021)."""

    sizes = (1, 1)

    def _values(self, params: Sequence[Tensor]) -> Tensor:
        product = params[0][..., 0] * params[1][..., 0]
        return torch.stack([product, -product])


class TandemGame(DifferentiableGame):
    """The tandem game (Letcher et al. 2019), maximised: ``f_1 = 2 x - (x + y)^2, f_2 = 2 y - (x + y)^2``.

    Every point with x + y = 1 is a stable fixed point of naive learning; LOLA misses them.
    """

    sizes = (1, 1)
    symmetric = True

    def _values(self, params: Sequence[Tensor]) -> Tensor:
        x, y = params[0][..., 0], params[1][..., 0]
        together = (x + y).square()
        return torch.stack([2 * x - together, 2 * y - together])


@dataclass(frozen=True, eq=False)
class TabularGame(DifferentiableGame):
    """An iterated matrix game of n players with tabular, memory-one policies.

    A player's parameters are its table of logits ``(S, A_i)``, flattened; see
    :func:`mamrl.games.exact.exact_values`.

    Attributes:
        payoffs: ``(n, A_1, ..., A_n)``.
        discount: In [0, 1), a step.
        normalised: Multiply values by ``1 - discount``, which puts them on the scale of one step's payoff.
    """

    payoffs: Tensor
    discount: float = 0.96
    normalised: bool = True
    sizes: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_discount(self.discount)
        num_actions = check_payoffs(self.payoffs)
        num_states = 1 + math.prod(num_actions)
        object.__setattr__(self, "sizes", tuple(num_states * count for count in num_actions))

    def _values(self, params: Sequence[Tensor]) -> Tensor:
        payoffs = self.payoffs.to(params[0])
        batch = params[0].shape[:-1]
        tables = [
            x.reshape(-1, x.shape[-1] // count, count) for x, count in zip(params, payoffs.shape[1:], strict=True)
        ]
        scale = 1 - self.discount if self.normalised else 1.0
        return (scale * exact_values(payoffs, tables, self.discount)).reshape(self.num_players, *batch)


def table_from_cooperation_logits(logits: Tensor) -> Tensor:
    """Logits of a softmax over (cooperate, defect), states as the rest of the library numbers them.

    The opponent-shaping literature gives a memory-one policy by five logits of cooperation in the order
    initial, DD, DC, CD, CC (own action first). This library numbers states initial, CC, CD, DC, DD, that is
    the last four in reverse.

    Args:
        logits: ``(*batch, 5)``.

    Returns:
        ``(*batch, 5, 2)``: the second column is 0, so that softmax gives the logistic function of the first.
    """
    cooperate = torch.cat([logits[..., :1], logits[..., 1:].flip(-1)], -1)
    return torch.stack([cooperate, torch.zeros_like(cooperate)], -1)


class Iterated2x2(DifferentiableGame):
    """An iterated game of two players and two actions with memory-one policies, in closed form.

    A player's parameters are five logits of cooperation in the order initial, DD, DC, CD, CC, own action
    first. The value is
    normalised: ``(1 - d) p_0 (I - d P)^-1 r`` (Foerster et al. 2018, LOLA; appendix A of Cooijmans et al.
    2023). It is :class:`TabularGame` of the same payoffs at :func:`table_from_cooperation_logits`, without
    the general solver.

    Args:
        payoffs_1: Player 1's payoffs of DD, DC, CD, CC.
        payoffs_2: Player 2's payoffs in the same joint actions, named from player 1's side.
        discount: In [0, 1), a step.

    Raises:
        ValueError: not four finite payoffs a player, or the discount is outside [0, 1).
    """

    sizes = (5, 5)

    def __init__(self, payoffs_1: Sequence[float], payoffs_2: Sequence[float], discount: float = 0.96) -> None:
        check_discount(discount)
        for name, payoffs in (("payoffs_1", payoffs_1), ("payoffs_2", payoffs_2)):
            if len(payoffs) != 4 or not all(math.isfinite(payoff) for payoff in payoffs):
                raise ValueError(f"{name} must be four finite payoffs of DD, DC, CD, CC, but {payoffs} was given")
        self.discount = discount
        self.payoffs = (tuple(map(float, payoffs_1)), tuple(map(float, payoffs_2)))
        dd, dc, cd, cc = payoffs_1
        self.symmetric = tuple(map(float, payoffs_2)) == (dd, cd, dc, cc)

    def tabular(self, dtype: torch.dtype = torch.float64) -> TabularGame:
        """The same game over tables of logits, states and actions numbered as elsewhere in the library."""
        # (DD, DC, CD, CC) reversed is (CC, CD, DC, DD): row own action, column the other's, 0 = cooperate
        payoffs = torch.tensor(self.payoffs, dtype=dtype).flip(-1).reshape(2, 2, 2)
        return TabularGame(payoffs, self.discount)

    def values_and_gradients(self, params: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As in any game, from one fused pass."""
        self.check_params(params)
        x, y = (param.detach() for param in params)
        if x.device.type not in ("cpu", "cuda") or x.dtype not in (torch.float32, torch.float64):
            return super().values_and_gradients(params)
        batch = x.shape[:-1]
        payoffs = torch.tensor(self.payoffs, dtype=x.dtype, device=x.device)
        values, slopes = iterated_2x2(x.reshape(-1, 5), y.reshape(-1, 5), payoffs, self.discount)
        return values.reshape(2, *batch), (slopes[0, 0].reshape(x.shape), slopes[1, 1].reshape(y.shape))

    def _values(self, params: Sequence[Tensor]) -> Tensor:
        p, q = torch.sigmoid(params[0]), torch.sigmoid(params[1])
        # player 2 calls player 1's DC its own CD
        q = torch.stack([q[..., 0], q[..., 1], q[..., 3], q[..., 2], q[..., 4]])
        occupancy = self._occupancy(p.movedim(-1, 0), q)
        payoffs = torch.tensor(self.payoffs, dtype=p.dtype, device=p.device)
        return torch.einsum("ia,a...->i...", payoffs, occupancy)

    def _occupancy(self, p: Tensor, q: Tensor) -> Tensor:
        """Normalised discounted frequency ``(4, *batch)`` of DD, DC, CD, CC.

        Args:
            p: Player 1's probabilities of cooperation ``(5, *batch)``.
            q: Player 2's, states ordered from player 1's side.
        """
        joint = torch.stack([(1 - p) * (1 - q), (1 - p) * q, p * (1 - q), p * q])
        start, flow = joint[:, 0], joint[:, 1:]
        identity = torch.eye(4, dtype=p.dtype, device=p.device).reshape(4, 4, *(1 for _ in p.shape[1:]))
        return _solve_dominant(identity - self.discount * flow, (1 - self.discount) * start)


def _solve_dominant(matrix: Tensor, right: Tensor) -> Tensor:
    """Solves ``matrix @ x = right`` over trailing batch axes by elimination.

    Without pivoting: for matrices dominated by the diagonals of their columns, such as ``I - d P^T``, that
    is stable, and the same few operations serve any batch.

    Args:
        matrix: ``(m, m, *batch)``.
        right: ``(m, *batch)``.

    Returns:
        ``(m, *batch)``.
    """
    if matrix.shape[0] == 1:
        return right / matrix[0]
    factor = matrix[1:, 0] / matrix[0, 0]
    rest = _solve_dominant(matrix[1:, 1:] - factor.unsqueeze(1) * matrix[0, 1:], right[1:] - factor * right[0])
    first = (right[0] - (matrix[0, 1:] * rest).sum(0)) / matrix[0, 0]
    return torch.cat([first.unsqueeze(0), rest])


def iterated_prisoners_dilemma(discount: float = 0.96) -> Iterated2x2:
    """The iterated prisoner's dilemma with per-step payoffs DD -2, DC 0, CD -3, CC -1."""
    return Iterated2x2((-2, 0, -3, -1), (-2, -3, 0, -1), discount)


def iterated_matching_pennies(discount: float = 0.96) -> Iterated2x2:
    """Iterated matching pennies: player 1 wins 1 where the actions agree, player 2 where they differ."""
    return Iterated2x2((1, -1, -1, 1), (-1, 1, 1, -1), discount)


def chicken(discount: float = 0.96) -> Iterated2x2:
    """The iterated game of chicken: both straight -100, swerving alone -1, its other 1, both 0."""
    return Iterated2x2((-100, 1, -1, 0), (-100, -1, 1, 0), discount)


def stag_hunt(discount: float = 0.96) -> Iterated2x2:
    """The iterated stag hunt: the stag together 4, the stag alone 0, the hare 3 against either."""
    return Iterated2x2((3, 3, 0, 4), (3, 0, 3, 4), discount)
