"""COLA: consistent learning with opponent-learning awareness (Willi et al. 2022), by a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import check_extrapolation, leaves
from mamrl.shaping.meva import draw_policies
from mamrl.shaping.networks import PairNetwork
from mamrl.shaping.training import Progress, TrainingState, run_training


@dataclass(frozen=True)
class ConsistencySettings:
    """How a consistent update is trained; the defaults are those of the logistic game.

    Attributes:
        steps: Optimiser steps.
        batch: Pairs of policies a step.
        policy_init: "uniform" on [-policy_scale, policy_scale] or "normal" with that standard deviation.
        policy_scale: See ``policy_init``.
        most_extrapolation: Extrapolations are drawn uniformly from 0 to this, for each player.
        learning_rate: Of Adam.
        betas: Of Adam.
    """

    steps: int = 10001
    batch: int = 256
    policy_init: str = "uniform"
    policy_scale: float = 8.0
    most_extrapolation: float = 10.0
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)


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


def train_cola(
    game: DifferentiableGame,
    network: PairNetwork,
    settings: ConsistencySettings,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    until: int | None = None,
) -> list[float]:
    """Trains ``network`` in place to be the consistent update: least squares on :func:`consistency_error`.

    Args:
        game: Of two players with policies of one size.
        network: See :func:`consistency_error`; the extrapolation takes the discount's place.
        settings: The training's.
        seed: Of policies and extrapolations.
        checkpoint: Where the state is saved now and then, and at the end.
        resume: Continue from ``checkpoint`` where it exists.
        progress: Called with (steps done, steps in all, loss) after every step.
        until: Stop, with a checkpoint, after this many steps in all.

    Returns:
        The loss of every step.

    Raises:
        ValueError: the game or the network does not fit.
        DivergenceError: a loss or parameter is not finite.
    """
    if game.num_players != 2 or game.sizes[0] != game.sizes[1] or network.outputs != game.sizes[0]:
        raise ValueError(
            f"COLA needs two players with policies of one size and a network with as many outputs, but "
            f"{type(game).__name__} has {game.sizes} and the network {network.outputs} outputs"
        )
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate, settings.betas, fused=True)
    generator = torch.Generator().manual_seed(seed)

    def step() -> float:
        shape = (settings.batch, game.sizes[0])
        x = draw_policies(shape, settings.policy_init, settings.policy_scale, generator)
        extrapolation = settings.most_extrapolation * torch.rand(2, settings.batch, generator=generator)
        loss = consistency_error(network, game, x, extrapolation).square().sum(-1).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    state = TrainingState({"network": network}, optimizer, generator)
    return run_training(
        step, state, settings.steps, file=checkpoint, resume=resume, every=500, progress=progress, until=until
    )


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
        network: Trained by :func:`train_cola`.
        extrapolation: a, of both players.

    Returns:
        What to add to each player's parameters.

    Raises:
        ValueError: the parameters do not fit the game, or there are not two players.
    """
    check_extrapolation(extrapolation)
    x = torch.stack(leaves(game, params, step_size)) if game.num_players == 2 else None
    if x is None:
        raise ValueError(f"COLA's network plays two players, but {type(game).__name__} has {game.num_players}")
    with torch.no_grad():
        direction = network(x, torch.full(x.shape[:2], extrapolation))
    return tuple(step_size * direction)
