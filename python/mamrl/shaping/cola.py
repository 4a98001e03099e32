"""COLA: consistent learning with opponent-learning awareness (Willi et al. 2022), by a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import check_extrapolation, leaves
from mamrl.shaping.meva import draw_policies
from mamrl.shaping.networks import PairNetwork
from mamrl.shaping.training import Learner


@dataclass(frozen=True)
class ConsistencySettings:
    """How a consistent update is trained, by least squares on :func:`consistency_error`; the defaults are those of
    the logistic game.

    Attributes:
        loops: Optimiser steps.
        batch: Pairs of policies a step.
        policy_init: "uniform" on [-policy_scale, policy_scale] or "normal" with that standard deviation.
        policy_scale: See ``policy_init``.
        most_extrapolation: Extrapolations are drawn uniformly from 0 to this, for each player.
        learning_rate: Of Adam.
        betas: Of Adam.
        save_every: Steps from one checkpoint to the next.
    """

    loops: int = 10001
    batch: int = 256
    policy_init: str = "uniform"
    policy_scale: float = 8.0
    most_extrapolation: float = 10.0
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    save_every: int = 500

    def start(self, game: DifferentiableGame, network: PairNetwork, generator: torch.Generator) -> Learner:
        """A consistent update that has learned nothing; the extrapolation takes the discount's place.

        Raises:
            ValueError: the network has not as many outputs as a policy has parameters.
        """
        if network.outputs != game.sizes[0]:
            raise ValueError(
                f"COLA needs a network with as many outputs as a policy has parameters, {game.sizes[0]}, but this one "
                f"has {network.outputs}"
            )
        optimizer = torch.optim.Adam(network.parameters(), self.learning_rate, self.betas, fused=True)

        device = network.weights.device

        def step() -> float:
            x = draw_policies((self.batch, game.sizes[0]), self.policy_init, self.policy_scale, generator).to(device)
            extrapolation = self.most_extrapolation * torch.rand(2, self.batch, generator=generator).to(device)
            loss = consistency_error(network, game, x, extrapolation).square().sum(-1).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            return loss.item()

        return Learner(step, {"network": network}, optimizer, generator)


def consistency_error(network: PairNetwork, game: DifferentiableGame, x: Tensor, extrapolation: Tensor) -> Tensor:
    """How far the network is from the implicit equation of appendix B of Cooijmans et al. 2023.

    ``g_i(x) - d/dx_i f_i(x_i, x_j + a_i g_j(x))``, the gradient passing through g_j too.

    Args:
        network: ``g``; with as many outputs as a policy has parameters.
        game: Of two players.
        x: ``(2, B, D)``.
        extrapolation: ``(2, B)``: a of each player.

    Returns:
        ``(2, B, D)``, differentiable in the network's parameters.
    """
    x = x.detach().requires_grad_()
    model = network(x, extrapolation)
    scale = extrapolation.unsqueeze(-1)
    # both players' surrogates side by side: player i's own policy, the other's extrapolated by player i's
    # step
    values_1 = game.values((x[0], x[1] + scale[0] * model[1]))[0]
    values_2 = game.values((x[0] + scale[1] * model[0], x[1]))[1]
    (gradient_1,) = torch.autograd.grad(values_1.sum(), x, create_graph=True)
    (gradient_2,) = torch.autograd.grad(values_2.sum(), x, create_graph=True)
    return model - torch.stack([gradient_1[0], gradient_2[1]])


def cola(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    step_size: float,
    *,
    network: PairNetwork,
    extrapolation: float = 1.0,
) -> tuple[Tensor, ...]:
    """Both players follow the trained network's update.

    Args:
        game: Of two players.
        params: For each player ``(B, D)``.
        step_size: Of the update.
        network: Trained by :func:`mamrl.shaping.training.train` with :class:`ConsistencySettings`.
        extrapolation: a, of both players.

    Returns:
        What to add to each player's parameters.

    Raises:
        ValueError: the parameters do not fit the game, or there are not two players.
    """
    check_extrapolation(extrapolation)
    network.check_game(game)
    x = torch.stack(leaves(game, params, step_size)).detach()
    with torch.no_grad():
        direction = network(x, torch.full(x.shape[:2], extrapolation, dtype=x.dtype))
    return tuple(step_size * direction)
