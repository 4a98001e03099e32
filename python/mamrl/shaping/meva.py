"""Meta-Value Learning (Cooijmans et al. 2023): learn the discounted sum of a game's values along joint
optimisation, follow its gradient.

Two formulations. V: ``V(x) = (1 - g) f(x) + g V(x + a grad V(x))``, agents follow ``grad V``. U, a correction
to the naive gradient: ``U(x) = (1 - g) f(x') + g U(x')`` with ``x' = x + a grad(f(x) + g U(x))``, which
agents follow. Both are normalised by ``1 - g`` (appendix A), condition on each player's own discount g
(section 4.2) and predict quantiles (Dabney et al. 2018).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.ops.quantile_huber import quantile_huber
from mamrl.shaping.gradients import leaves
from mamrl.shaping.networks import PairNetwork
from mamrl.shaping.training import Learner


@dataclass(frozen=True)
class MetaValueSettings:
    """How a meta-value is trained, by algorithm 1 of the paper; the defaults are those of the logistic game
    (appendix D).

    Attributes:
        formulation: "V" or "U".
        loops: Outer loops: each draws fresh policies.
        strides: Optimiser steps a loop.
        explore_steps: Steps along the sign-flipped network's gradient before each stride's on-policy steps.
        steps: On-policy steps a stride, whose states are learned from.
        batch: Pairs of policies.
        step_size: alpha, of the agents.
        policy_init: "uniform" on [-policy_scale, policy_scale] or "normal" with that standard deviation.
        policy_scale: See ``policy_init``.
        trace: lambda of the lambda-returns; 0 is one-step bootstrapping.
        target_decay: Inertia of the moving-average target network; None has targets, and their gradients,
            from the network itself.
        flip_probability: That exploration flips the sign of a unit of the last nonlinearity.
        learning_rate: Of Adam.
        betas: Of Adam.
        weight_decay: Decoupled, on all parameters.
        save_every: Loops from one checkpoint to the next.
    """

    formulation: str = "V"
    loops: int = 1001
    strides: int = 1
    explore_steps: int = 0
    steps: int = 50
    batch: int = 128
    step_size: float = 1.0
    policy_init: str = "uniform"
    policy_scale: float = 8.0
    trace: float = 0.0
    target_decay: float | None = None
    flip_probability: float = 0.0
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    save_every: int = 20

    def __post_init__(self) -> None:
        if self.formulation not in ("V", "U"):
            raise ValueError(f"formulation must be 'V' or 'U', but {self.formulation!r} was given")
        if self.policy_init not in ("uniform", "normal"):
            raise ValueError(f"policy_init must be 'uniform' or 'normal', but {self.policy_init!r} was given")
        if min(self.loops, self.strides, self.steps, self.batch) < 1 or self.explore_steps < 0:
            raise ValueError("loops, strides, steps and batch must be at least 1, and explore_steps at least 0")
        if not 0 <= self.trace <= 1 or not 0 <= self.flip_probability <= 1:
            raise ValueError("trace and flip_probability must be in [0, 1]")

    def start(self, game: DifferentiableGame, network: PairNetwork, generator: torch.Generator) -> Learner:
        """A meta-value that has learned nothing; the network's outputs are its quantiles."""
        target = copy.deepcopy(network).requires_grad_(False) if self.target_decay is not None else None
        optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=self.learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
            fused=True,
        )

        device = network.weights.device

        def loop() -> float:
            shape = (self.batch, game.sizes[0])
            # everything is drawn on the CPU, so that every device sees the same
            x = draw_policies(shape, self.policy_init, self.policy_scale, generator).to(device)
            explore_gamma = draw_discounts(self.batch, generator).to(device)
            signs: Tensor | None = None
            if self.explore_steps:
                flips = torch.rand(2, self.batch, network.units, generator=generator) < self.flip_probability
                signs = 1 - 2 * flips.to(x)
            losses: list[Tensor] = []
            for stride in range(self.strides):
                for _ in range(self.explore_steps):
                    x = x + self.step_size * network.own_gradient(x, explore_gamma, signs)[0]
                # without exploration there is but one draw of discounts a loop
                fresh = stride or self.explore_steps
                gamma = draw_discounts(self.batch, generator).to(device) if fresh else explore_gamma
                loss = _stride_loss(network, target, game, self, x, gamma)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                if target is not None and self.target_decay is not None:
                    target.weights.lerp_(network.weights.detach(), 1 - self.target_decay)
                losses.append(loss.detach())
            # the only time that a loop waits for its device
            return sum(loss.item() for loss in losses) / self.strides

        networks = {"network": network} if target is None else {"network": network, "target": target}
        return Learner(loop, networks, optimizer, generator)


#: the settings of the iterated prisoner's dilemma (appendix E)
ITERATED_SETTINGS = MetaValueSettings(
    formulation="U",
    loops=2001,
    strides=10,
    explore_steps=10,
    steps=10,
    step_size=2.0,
    policy_init="normal",
    policy_scale=1.0,
    trace=0.9,
    target_decay=0.99,
    flip_probability=1 / 16,
    learning_rate=1e-4,
    betas=(0.9, 0.999),
    weight_decay=0.01,
)


def lambda_targets(rewards: Tensor, following: Tensor, gamma: Tensor, trace: float) -> Tensor:
    """Normalised lambda-returns of every quantile (appendix C): bootstrapped fully at the last state.

    ``Y_t = (1 - g) r_t + g ((1 - trace) W_{t+1} + trace Y_{t+1})`` with ``Y_k = W_k``.

    Args:
        rewards: ``(k, 2, B)``: r_t, what the step from t brings.
        following: ``(k, 2, B, Q)``: W_{t+1}, the value of the state after the step.
        gamma: ``(2, B)``.
        trace: In [0, 1].

    Returns:
        ``(k, 2, B, Q)``.
    """
    discount = gamma.unsqueeze(-1)
    earned = ((1 - gamma) * rewards).unsqueeze(-1)
    carried, targets = following[-1], []
    for t in reversed(range(rewards.shape[0])):
        carried = earned[t] + discount * torch.lerp(following[t], carried, trace)
        targets.append(carried)
    return torch.stack(targets[::-1])


def follow(
    network: PairNetwork, game: DifferentiableGame, formulation: str, x: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The direction that agents with meta-values follow.

    Args:
        network: V or U.
        game: Of two players.
        formulation: "V" or "U".
        x: ``(2, B, D)`` both players' policies.
        gamma: ``(2, B)`` their discounts.

    Returns:
        The direction ``(2, B, D)``, the network's outputs ``(2, B, Q)``, and the game's values ``(2, B)`` where
        they came with it.
    """
    slope, outputs = network.own_gradient(x, gamma)
    if formulation == "V":
        return slope, outputs, None
    values, naive = game.values_and_gradients((x[0], x[1]))
    return torch.stack(naive) + gamma.unsqueeze(-1) * slope, outputs, values


def draw_discounts(batch: int, generator: torch.Generator) -> Tensor:
    """Both players' discounts ``(2, B)``, arcsine distributed: Beta(1/2, 1/2) (section 4.2)."""
    return torch.sin(torch.rand(2, batch, generator=generator) * (torch.pi / 2)).square()


def draw_policies(size: tuple[int, int], init: str, scale: float, generator: torch.Generator) -> Tensor:
    """Both players' initial policies ``(2, *size)``, "normal" or "uniform" about zero."""
    if init == "normal":
        return scale * torch.randn(2, *size, generator=generator)
    return scale * (2 * torch.rand(2, *size, generator=generator) - 1)


def _over_time(each: list[Tensor]) -> Tensor:
    """``(2, k * B, ...)`` of k tensors ``(2, B, ...)``."""
    return torch.cat(each, 1)


def _stride_loss(
    network: PairNetwork,
    target_network: PairNetwork | None,
    game: DifferentiableGame,
    settings: MetaValueSettings,
    x: Tensor,
    gamma: Tensor,
) -> Tensor:
    """Quantile loss along ``steps`` on-policy steps from x."""
    count = settings.steps
    states, outputs, values = [x], [], []
    for _ in range(count):
        direction, output, value = follow(network, game, settings.formulation, states[-1], gamma)
        outputs.append(output)
        values.append(value)
        states.append(states[-1] + settings.step_size * direction)
    path = _over_time(states)
    last = states[-1]
    # all states in one pass: time becomes part of the batch
    discounts = gamma.repeat(1, count)
    current = network(path[:, : -x.shape[1]], discounts, _over_time(outputs)).unflatten(1, (count, -1)).transpose(0, 1)
    if settings.formulation == "V":
        rewards = (
            game.values((path[0, : -x.shape[1]], path[1, : -x.shape[1]])).unflatten(1, (count, -1)).transpose(0, 1)
        )
    else:
        rewards = torch.stack([*(value for value in values[1:] if value is not None), game.values((last[0], last[1]))])
    if target_network is None:
        following = torch.cat([current[1:], network(last, gamma).unsqueeze(0)])
    else:
        with torch.no_grad():
            following = target_network(path[:, x.shape[1] :], discounts).unflatten(1, (count, -1)).transpose(0, 1)
    targets = lambda_targets(rewards, following, gamma, settings.trace)
    # mean over time and pairs, sum over the players, who share their weights
    return quantile_huber(current, targets).mean(dim=(0, 2)).sum()


def meva(
    game: DifferentiableGame,
    params: Sequence[Tensor],
    step_size: float,
    *,
    network: PairNetwork,
    formulation: str,
    gamma: float | tuple[float, float] = 0.9,
) -> tuple[Tensor, ...]:
    """Both players follow the trained meta-value's gradient.

    Args:
        game: Of two players.
        params: For each player ``(B, D)``.
        step_size: Of the update; the meta-value holds for the one it was trained with.
        network: Trained by :func:`mamrl.shaping.training.train` with :class:`MetaValueSettings`.
        formulation: "V" or "U".
        gamma: How far both players, or each, look ahead; in the U form a player with 0 is a naive learner.

    Returns:
        What to add to each player's parameters.

    Raises:
        ValueError: the parameters do not fit the game, there are not two players, or gamma is outside [0, 1).
    """
    gammas = (gamma, gamma) if isinstance(gamma, (int, float)) else gamma
    if len(gammas) != 2 or not all(0 <= g < 1 for g in gammas):
        raise ValueError(f"gamma must be in [0, 1) for each of two players, but {gamma} was given")
    network.check_game(game)
    x = torch.stack(leaves(game, params, step_size)).detach()
    discount = torch.tensor(gammas, dtype=x.dtype, device=x.device).unsqueeze(-1).expand(x.shape[:2])
    direction, *_ = follow(network, game, formulation, x, discount)
    return tuple(step_size * direction)
