"""Networks over pairs of policies: the layers that the kernels are told of, and the kernels' twins in plain torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

NO_ACTIVATION, GELU, TANH = range(3)


class PairLayer(NamedTuple):
    """A layer of a network over pairs of policies, as the kernels are told of it.

    Signal 0 is a player's policy, 1 its discount, 2 + l the output of layer l. A layer's output is
    ``z = activation(norm(W [source, beside] + bias))``, or, with a skip, ``s(gate) skip + (1 - s(gate)) z``
    (Srivastava et al. 2015). With ``swapped``, beside is the other player's; with ``roles`` each player has a W
    of its own, and there is nothing else.
    """

    source: int
    units: int
    beside: int = -1
    swapped: bool = False
    activation: int = GELU
    norm: bool = False
    skip: int = -1
    roles: bool = False

    def shapes(self, inputs: int) -> dict[str, tuple[int, ...]]:
        """The shapes of its weights, in their order."""
        if self.roles:
            return {"weight": (2, self.units, inputs)}
        unit = (self.units,)
        norm = {"norm_weight": unit, "norm_bias": unit} if self.norm else {}
        return {"weight": (self.units, inputs), "bias": unit, **norm, **({"gate": unit} if self.skip >= 0 else {})}


def pair_layers(fields: Sequence[int], policy_size: int) -> list[tuple[PairLayer, dict[str, tuple[int, ...]]]]:
    """The layers that a flat list of numbers describes, with the shapes of their weights."""
    units, layers = [policy_size, 1], []
    count = len(PairLayer._fields)
    for first in range(0, len(fields), count):
        layer = PairLayer._make(fields[first : first + count])
        inputs = units[layer.source] + (units[layer.beside] if layer.beside >= 0 else 0)
        layers.append((layer, layer.shapes(inputs)))
        units.append(layer.units)
    return layers


def split_pair_weights(weights: Tensor, fields: Sequence[int], policy_size: int) -> list[dict[str, Tensor]]:
    """Views of the flat weights (P,), by layer and name."""
    shapes = [each for _, each in pair_layers(fields, policy_size)]
    sizes = [torch.Size(shape).numel() for each in shapes for shape in each.values()]
    pieces = iter(weights.split(sizes))
    return [{name: next(pieces).view(shape) for name, shape in each.items()} for each in shapes]


def pair_network(
    weights: Tensor, fields: Sequence[int], x: Tensor, gamma: Tensor, signs: Tensor | None = None
) -> Tensor:
    """Outputs (2, B, Q) for x (2, B, D) and gamma (2, B); signs (2, B, units) flip what the last layer reads."""
    signals = [x, gamma.unsqueeze(-1)]
    layers = pair_layers(fields, x.shape[-1])
    for (layer, _), own in zip(layers, split_pair_weights(weights, fields, x.shape[-1]), strict=True):
        z = signals[layer.source]
        if layer.roles:
            signals.append(z @ own["weight"].mT)
            continue
        if layer.beside >= 0:
            beside = signals[layer.beside]
            z = torch.cat([z, beside.flip(0) if layer.swapped else beside], -1)
        if signs is not None and len(signals) == len(layers) + 1:
            z = z * signs
        z = F.linear(z, own["weight"], own["bias"])
        if layer.norm:
            z = F.layer_norm(z, z.shape[-1:], own["norm_weight"], own["norm_bias"], 1e-6)
        if layer.activation == GELU:
            z = F.gelu(z, approximate="tanh")
        elif layer.activation == TANH:
            z = torch.tanh(z)
        signals.append(torch.lerp(z, signals[layer.skip], torch.sigmoid(own["gate"])) if layer.skip >= 0 else z)
    return signals[-1]


def pair_network_own_gradient(
    weights: Tensor, fields: Sequence[int], x: Tensor, gamma: Tensor, signs: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Outputs, and each player's mean output (signs applied) differentiated in its own policy, by two passes."""
    leaf = x.detach().requires_grad_()
    means = pair_network(weights.detach(), fields, leaf, gamma, signs).mean(-1)
    own = [torch.autograd.grad(means[player].sum(), leaf, retain_graph=True)[0][player] for player in range(2)]
    return pair_network(weights.detach(), fields, x.detach(), gamma), torch.stack(own)
