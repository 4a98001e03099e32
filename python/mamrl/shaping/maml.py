"""Initial policies that learn well: model-agnostic meta-learning (Finn et al. 2017) among naive learners."""

from __future__ import annotations

import torch
from torch import Tensor

from mamrl.games.differentiable import DifferentiableGame
from mamrl.shaping.gradients import own_gradients


def maml_initial_policies(
    game: DifferentiableGame,
    *,
    inner_steps: int = 5,
    step_size: float = 2.0,
    iterations: int = 100,
    batch: int = 64,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> Tensor:
    """A policy for each player from which naive learning beside a random naive learner ends well.

    Player i's initial policy is moved, by Adam, up the gradient of its mean value after ``inner_steps`` joint
    naive steps from there, the other starting from N(0, 1). A player differentiates through its own steps
    only: the other's are constants to it, as in the single-agent method.

    Args:
        game: Of two players.
        inner_steps: Of naive learning, of both players.
        step_size: Of each.
        iterations: Of Adam.
        batch: Random others an iteration.
        learning_rate: Of Adam.
        seed: Of the others' policies.

    Returns:
        ``(2, D)``: the initial policy as player 1 and as player 2.

    Raises:
        ValueError: the game has not two players with policies of one size.
    """
    if game.num_players != 2 or game.sizes[0] != game.sizes[1]:
        raise ValueError(f"two players with policies of one size are needed, but the game has {game.sizes}")
    generator = torch.Generator().manual_seed(seed)
    initial = torch.zeros(2, game.sizes[0], requires_grad=True)
    optimizer = torch.optim.Adam([initial], learning_rate)
    for _ in range(iterations):
        total = torch.zeros(())
        for player in range(2):
            other = torch.randn(batch, game.sizes[0], generator=generator)
            mine = initial[player].expand(batch, -1)
            x = [mine, other] if player == 0 else [other, mine]
            for _ in range(inner_steps):
                x[1 - player] = x[1 - player].detach().requires_grad_()
                steps = own_gradients(game.values(x), x, create_graph=True)
                x = [
                    p + step_size * (s if i == player else s.detach())
                    for i, (p, s) in enumerate(zip(x, steps, strict=True))
                ]
            x[1 - player] = x[1 - player].detach()
            total = total - game.values(x)[player].mean()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
    return initial.detach()
