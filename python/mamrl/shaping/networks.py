"""Networks over pairs of policies: meta-values (MeVa) and consistent gradients (COLA), both players' by the
same weights.

A player's policy and its discount (or step size) become a representation; a player's own and the other's,
side by side, become its output. The symmetry ``f_1(x_1, x_2) = f_2(x_2, x_1)`` makes one set of weights serve
both players (appendix D of Cooijmans et al. 2023); where a game lacks it, each player's representation passes
a learned map of its own first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mamrl.ops.gelu import gelu


class Dense(nn.Module):
    """An affine map, optionally normalised (layer norm, Ba et al. 2016), then GELU or tanh or nothing."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool = False, activation: str = "gelu") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.norm = nn.LayerNorm(outputs, eps=1e-6) if norm else None
        self.activation = activation
        # the fused kernel is differentiable once; COLA differentiates its network twice
        self.fused = True

    def reset(self, generator: torch.Generator) -> None:
        """LeCun-normal weights, zero biases."""
        with torch.no_grad():
            self.weight.normal_(0.0, 1 / math.sqrt(self.weight.shape[1]), generator=generator)

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        """Maps ``(R, inputs)``; with ``beside``, the inputs are x and beside side by side."""
        if beside is None:
            y = F.linear(x, self.weight, self.bias)
        else:
            # no concatenation: nothing flows back into a detached half
            left, right = self.weight.split([x.shape[-1], beside.shape[-1]], 1)
            y = torch.addmm(F.linear(beside, right, self.bias), x, left.t())
        if self.norm is not None:
            y = self.norm(y)
        if self.activation == "gelu":
            return gelu(y) if self.fused else F.gelu(y, approximate="tanh")
        return torch.tanh(y) if self.activation == "tanh" else y


class GatedBlock(nn.Module):
    """A gated residual block (Srivastava et al. 2015): ``s(G) x + (1 - s(G)) H(gelu(X(x)))``.

    Each unit has a gate, which starts at 1/2.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.inner = Dense(units, units)
        self.outer = Dense(units, units, activation="none")
        self.gate = nn.Parameter(torch.zeros(units))

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(R, units)`` to the same shape."""
        return torch.lerp(self.outer(self.inner(x)), x, torch.sigmoid(self.gate))


class ScalarEncoder(nn.Module):
    """Represents a scalar policy with its discount: ``[x / 10, gamma]`` -> GELU -> gated block -> GELU."""

    def __init__(self, units: int, policy_scale: float = 10.0) -> None:
        super().__init__()
        self.policy_scale = policy_scale
        self.layers = nn.Sequential(Dense(2, units), GatedBlock(units), Dense(units, units))

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """Policies ``(R, 1)`` and discounts ``(R, 1)`` to ``(R, units)``."""
        encoded: Tensor = self.layers(torch.cat([x / self.policy_scale, gamma], -1))
        return encoded


class PolicyEncoder(nn.Module):
    """Represents a policy of logits with its discount: both embedded apart, joined, then gated blocks."""

    def __init__(self, policy_size: int, units: int, blocks: int) -> None:
        super().__init__()
        self.policy = nn.Sequential(Dense(policy_size, units), Dense(units, units, norm=True))
        self.gamma = Dense(1, units)
        self.join = Dense(2 * units, units, norm=True)
        self.blocks = nn.Sequential(*(GatedBlock(units) for _ in range(blocks)))

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """Logits ``(R, D)`` and discounts ``(R, 1)`` to ``(R, units)``."""
        encoded: Tensor = self.blocks(self.join(self.policy(torch.sigmoid(x)), self.gamma(gamma)))
        return encoded


class PairNetwork(nn.Module):
    """Outputs for each player of a pair, from both players' policies and discounts.

    Args:
        encoder: Maps one player's policy and discount to ``units`` numbers.
        units: Width of every layer.
        blocks: Gated blocks after the players' representations are joined.
        outputs: Numbers a player gets: quantiles of a meta-value, or 1.
        norm: Layer norms where the encoder's output is joined and before the last nonlinearity.
        symmetric: False gives each player a learned map of its own between the encoder and the join.
        twice_differentiable: Do without the fused kernels, which have first derivatives only.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        units: int,
        blocks: int,
        outputs: int,
        norm: bool,
        symmetric: bool = True,
        twice_differentiable: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.units = units
        self.encoder = encoder
        self.role = None if symmetric else nn.Parameter(torch.eye(units).repeat(2, 1, 1))
        self.join = Dense(2 * units, units, norm=norm)
        self.blocks = nn.Sequential(*(GatedBlock(units) for _ in range(blocks)))
        self.last = Dense(units, units, norm=norm, activation="tanh")
        self.head = Dense(units, outputs, activation="none")
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, Dense):
                module.fused = not twice_differentiable
                module.reset(generator)

    def features(self, x: Tensor, gamma: Tensor, *, own_only: bool = False) -> Tensor:
        """The last nonlinearity's output.

        Args:
            x: ``(2, B, D)`` both players' policies.
            gamma: ``(2, B)`` both players' discounts.
            own_only: Cut the gradient from a player's output to the other player's policy.

        Returns:
            ``(2, B, units)``.
        """
        batch = x.shape[1]
        z: Tensor = self.encoder(x.flatten(0, 1), gamma.reshape(-1, 1))
        pair = z.view(2, batch, self.units)
        if self.role is not None:
            pair = pair @ self.role
        other = pair.flip(0).flatten(0, 1)
        joined = self.join(pair.flatten(0, 1), other.detach() if own_only else other)
        features: Tensor = self.last(self.blocks(joined))
        return features.view(2, batch, self.units)

    def forward(self, x: Tensor, gamma: Tensor) -> Tensor:
        """Outputs ``(2, B, outputs)`` for ``x`` ``(2, B, D)`` and ``gamma`` ``(2, B)``."""
        outputs: Tensor = self.head(self.features(x, gamma))
        return outputs

    def own_gradient(self, x: Tensor, gamma: Tensor, signs: Tensor | None = None) -> Tensor:
        """Each player's mean output differentiated in its own policy.

        One backward pass of the sum of both players' outputs serves both, exactly: with the other's half of
        the join detached, player i's policy reaches player i's output only.

        Args:
            x: ``(2, B, D)``.
            gamma: ``(2, B)``.
            signs: ``(2, B, units)`` of +1 and -1 on the last nonlinearity's units (exploration, section 4.3).

        Returns:
            ``(2, B, D)`` without a graph.
        """
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            features = self.features(x, gamma, own_only=True)
        # the head is linear, so its mean's gradient is a constant vector
        slope = self.head.weight.detach().mean(0).expand_as(features)
        (gradient,) = torch.autograd.grad(features, x, slope if signs is None else slope * signs)
        return gradient


def logistic_game_network(outputs: int = 16, seed: int = 0, **options: bool) -> PairNetwork:
    """The logistic game's network: 64 units; 34,576 parameters with 16 outputs, 33,601 with one (COLA)."""
    return PairNetwork(ScalarEncoder(64), units=64, blocks=1, outputs=outputs, norm=False, seed=seed, **options)


def iterated_2x2_network(outputs: int = 32, seed: int = 0, **options: bool) -> PairNetwork:
    """The network of the iterated 2x2 games: 128 units; 237,600 parameters when symmetric."""
    encoder = PolicyEncoder(5, 128, 2)
    return PairNetwork(encoder, units=128, blocks=2, outputs=outputs, norm=True, seed=seed, **options)
