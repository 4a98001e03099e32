"""Networks over pairs of policies: meta-values (MeVa) and consistent gradients (COLA), both players' by the
same weights.

A player's policy and its discount (or step size) become a representation; a player's own and the other's,
side by side, become its output. The symmetry ``f_1(x_1, x_2) = f_2(x_2, x_1)`` makes one set of weights serve
both players (appendix D of Cooijmans et al. 2023); where a game lacks it, each player's representation passes
a learned map of its own first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mamrl.games.differentiable import DifferentiableGame
from mamrl.ops.pair_network import pair_network, pair_network_own_gradient
from mamrl.ops.reference import pair_network as pair_layers
from mamrl.ops.reference.pair_network import NO_ACTIVATION, TANH, PairLayer, split_pair_weights

#: the signals that a network starts from
POLICY, DISCOUNT = 0, 1
#: the standard deviation of a standard normal distribution cut off at -2 and 2
_TRUNCATED_DEVIATION = 0.8796256610342398


class PairNetwork(nn.Module):
    """Outputs for each player of a pair, from both players' policies and discounts.

    Args:
        layers: See :class:`mamrl.ops.reference.pair_network.PairLayer`; the last gives the outputs.
        policy_size: Parameters of a policy.
        policy_scale: What policies are divided by before the first layer; None for logits, which pass the
            logistic function.
        seed: Of the initial weights.
    """

    def __init__(
        self, layers: Sequence[PairLayer], policy_size: int, *, policy_scale: float | None, seed: int = 0
    ) -> None:
        super().__init__()
        self.fields = [int(number) for layer in layers for number in layer]
        self.policy_size = policy_size
        self.policy_scale = policy_scale
        self.outputs, self.units = layers[-1].units, layers[-2].units
        shapes = [shape for _, each in pair_layers.pair_layers(self.fields, policy_size) for shape in each.values()]
        self.weights = nn.Parameter(torch.zeros(sum(math.prod(shape) for shape in shapes)))
        self.reset(torch.Generator().manual_seed(seed))

    def split(self) -> list[dict[str, Tensor]]:
        """Views of the weights, by layer and name."""
        return split_pair_weights(self.weights, self.fields, self.policy_size)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """LeCun-normal weights, zero biases, gates at 1/2, and roles that are the identity.

        LeCun-normal is a normal distribution cut off at two deviations, with variance 1 / inputs after that.
        """
        for layer in self.split():
            weight = layer["weight"]
            if weight.dim() == 3:
                weight.copy_(torch.eye(weight.shape[-1]))
            else:
                deviation = 1 / (_TRUNCATED_DEVIATION * math.sqrt(weight.shape[1]))
                nn.init.trunc_normal_(weight, 0.0, deviation, -2 * deviation, 2 * deviation, generator=generator)
            if "norm_weight" in layer:
                layer["norm_weight"].fill_(1.0)

    def check_game(self, game: DifferentiableGame) -> None:
        """Raises ValueError unless the game has two players with policies of the size that the network reads."""
        if game.num_players != 2 or set(game.sizes) != {self.policy_size}:
            raise ValueError(
                f"a network over pairs needs two players with policies of {self.policy_size} parameters, but "
                f"{type(game).__name__} has policies of {game.sizes}"
            )

    def _told(self, x: Tensor) -> Tensor:
        """What the first layer is told of the policies."""
        return torch.sigmoid(x) if self.policy_scale is None else x / self.policy_scale

    def forward(self, x: Tensor, gamma: Tensor, outputs: Tensor | None = None) -> Tensor:
        """Outputs ``(2, B, outputs)`` for ``x`` ``(2, B, D)`` and ``gamma`` ``(2, B)``.

        Args:
            x: Policies. Where they require grad the result is differentiable in them and in the weights to any
                order, in plain torch; otherwise once in the weights, by a kernel.
            gamma: Discounts.
            outputs: What :meth:`own_gradient` gave, not to be computed again.
        """
        if x.requires_grad or x.device.type != "cpu":
            return pair_layers.pair_network(self.weights, self.fields, self._told(x), gamma)
        return pair_network(self.weights, self.fields, self._told(x), gamma, outputs)

    def own_gradient(self, x: Tensor, gamma: Tensor, signs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Each player's mean output differentiated in its own policy.

        Args:
            x: ``(2, B, D)``.
            gamma: ``(2, B)``.
            signs: ``(2, B, units)`` of +1 and -1 on the last nonlinearity's units (exploration, section 4.3).

        Returns:
            The gradient ``(2, B, D)`` and the outputs ``(2, B, outputs)`` of the network without signs, both
            without a graph.
        """
        told = self._told(x.detach())
        run = pair_network_own_gradient if x.device.type == "cpu" else pair_layers.pair_network_own_gradient
        outputs, gradient = run(self.weights, self.fields, told, gamma, signs)
        slope = told * (1 - told) if self.policy_scale is None else 1 / self.policy_scale
        return gradient * slope, outputs


class _Stack:
    """Layers in the making; every method returns the new signal's number."""

    def __init__(self, units: int) -> None:
        self.units = units
        self.layers: list[PairLayer] = []

    def add(self, source: int, **options: Any) -> int:
        self.layers.append(PairLayer(source, options.pop("units", self.units), **options))
        return len(self.layers) + 1

    def gated_block(self, source: int) -> int:
        """``s(G) x + (1 - s(G)) H(gelu(X(x)))``."""
        return self.add(self.add(source), activation=NO_ACTIVATION, skip=source)

    def pair(self, own: int, *, blocks: int, norm: bool, symmetric: bool, outputs: int) -> list[PairLayer]:
        """From a player's representation to its outputs."""
        if not symmetric:
            own = self.add(own, activation=NO_ACTIVATION, roles=True)
        joined = self.add(own, beside=own, swapped=True, norm=norm)
        for _ in range(blocks):
            joined = self.gated_block(joined)
        self.add(self.add(joined, activation=TANH, norm=norm), units=outputs, activation=NO_ACTIVATION)
        return self.layers


def logistic_game_network(outputs: int = 16, seed: int = 0, *, symmetric: bool = True) -> PairNetwork:
    """The logistic game's network: 64 units; 34,576 parameters with 16 outputs, 33,601 with one (COLA)."""
    stack = _Stack(64)
    own = stack.add(stack.gated_block(stack.add(POLICY, beside=DISCOUNT)))
    layers = stack.pair(own, blocks=1, norm=False, symmetric=symmetric, outputs=outputs)
    return PairNetwork(layers, 1, policy_scale=10.0, seed=seed)


def iterated_2x2_network(outputs: int = 32, seed: int = 0, *, symmetric: bool = True) -> PairNetwork:
    """The network of the iterated 2x2 games: 128 units; 237,600 parameters when symmetric."""
    stack = _Stack(128)
    policy = stack.add(stack.add(POLICY), norm=True)
    own = stack.add(policy, beside=stack.add(DISCOUNT), norm=True)
    own = stack.gated_block(stack.gated_block(own))
    layers = stack.pair(own, blocks=2, norm=True, symmetric=symmetric, outputs=outputs)
    return PairNetwork(layers, 5, policy_scale=None, seed=seed)
