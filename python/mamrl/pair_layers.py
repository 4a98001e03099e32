"""What networks over pairs of policies are made of, for the kernels and for their twins in plain torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

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
