"""Tries an installed mamrl: every kernel beside its plain-torch twin, a short training, HalfCheetah where MuJoCo is.

`make wheel` runs it in a clean environment and cibuildwheel in each that it makes; it needs nothing but mamrl.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

import mamrl
from mamrl import ops
from mamrl.games.differentiable import iterated_prisoners_dilemma
from mamrl.ops import reference
from mamrl.ops.iterated_2x2 import iterated_2x2
from mamrl.ops.pair_network import pair_network
from mamrl.ops.quantile_huber import quantile_huber
from mamrl.ops.reference import pair_network as pair_layers
from mamrl.shaping.networks import iterated_2x2_network

T, M, K, N = 12, 2, 5, 7


def check_estimators() -> None:
    rewards, values = torch.randn(T, M, K), torch.randn(T + 1, M, K)
    states, log_probs = torch.randint(5, (T, M, K)), torch.randn(T, M, K)
    close(ops.gae(rewards, values, 0.9, 0.8), reference.gae(rewards, values, None, None, None, 0.9, 0.8))
    close(ops.discounted_returns(rewards, 0.9), reference.discounted_returns(rewards, None, None, None, 0.9))
    close(ops.linear_baseline(states, rewards, num_states=5), reference.linear_baseline(states, rewards, 5, 1e-5))
    for ours, twin, constants in (
        (ops.dice_objective, reference.dice_objective, (rewards, values[1:])),
        (ops.loaded_dice_objective, reference.loaded_dice_objective, (rewards,)),
    ):
        close(slopes(ours, log_probs, *constants, 0.9), slopes(twin, log_probs, *constants, 0.9))


def check_networks() -> None:
    table, recurrent = 0.5 * torch.randn(M, 5, 4 * N), 0.5 * torch.randn(M, 4 * N, N)
    head, bias, states = torch.randn(M, 2, N), torch.randn(M, 2), torch.randint(5, (T, M, K))
    close(ops.lstm(table, states, recurrent, head, bias), reference.lstm(table, states, recurrent, head, bias))
    close(
        slopes(ops.lstm, table, states, recurrent, head, bias),
        slopes(reference.lstm, table, states, recurrent, head, bias),
    )
    weights = 0.5 * torch.randn(M, 3 * N, N), torch.randn(M, N), head, bias
    close(ops.gru(table[..., N:], states, *weights), reference.gru(table[..., N:], states, *weights))
    logits, index = torch.randn(M, 10), torch.randint(10, (T, M, K))
    close(ops.table_lookup(logits, index), reference.table_lookup(logits, index))
    network = iterated_2x2_network()
    pairs = (network.weights, network.fields, torch.rand(2, K, 5), torch.rand(2, K))
    close(pair_network(*pairs), pair_layers.pair_network(*pairs))
    close(quantile_huber(logits, 2 * logits.flip(0)), reference.quantile_huber(logits, 2 * logits.flip(0)))


def check_games() -> None:
    payoffs = mamrl.games.ipd().payoffs
    networks = [torch.randn(M, 5, 2), torch.randn(M, 5, 2)]
    keys = mamrl.games.trajectories.random_keys(seed=3, purpose="test", iteration=0, position=0, chains=M)
    ours, twin = (
        rollout(payoffs, networks, [reference.TABULAR] * 2, keys, K, T)
        for rollout in (ops.matrix_game_rollout, reference.matrix_game_rollout)
    )
    for actual, expected in zip(ours, twin, strict=True):
        assert torch.equal(actual, expected)
    game, logits = iterated_prisoners_dilemma(), torch.randn(2, K, 5)
    values, _ = iterated_2x2(logits[0], logits[1], torch.tensor(game.payoffs), game.discount)
    close(values, game.values(logits.unbind()))


def check_training() -> None:
    small = mamrl.preset("ipd").replace(num_trajectories=8, horizon=10, chain_length=2, iterations=1, hidden_size=8)
    run = mamrl.train(small, seed=0, progress=False)
    assert bool(run.parameters.isfinite().all())


def check_gymnasium_ids() -> None:
    import gymnasium

    for env_id in ("mamrl/IPD-v0", "mamrl:mamrl/IPD-v0"):
        observation, _ = gymnasium.make(env_id).reset(seed=0)
        assert observation == 0
        assert gymnasium.make_vec(env_id, num_envs=3).reset(seed=0)[0].tolist() == [0, 0, 0]


def check_half_cheetah() -> None:
    from mamrl.games.half_cheetah import HalfCheetah

    environments = HalfCheetah(4, seed=0)
    environments.reset()
    step = environments.step(np.zeros((4, 6)))
    assert np.isfinite(step.observations).all()
    assert not step.terminations.any()


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def slopes(function, x: torch.Tensor, *others) -> torch.Tensor:
    """The sum's gradient and the Hessian's product with it, side by side."""
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf, *others).sum(), leaf, create_graph=True)
    (product,) = torch.autograd.grad(gradient, leaf, gradient.detach())
    return torch.stack([gradient.detach(), product])


def main() -> None:
    source = Path(__file__).resolve().parents[1]
    assert source not in Path(mamrl.__file__).resolve().parents, f"mamrl is the source tree's: {mamrl.__file__}"
    torch.manual_seed(0)
    checks = [check_estimators, check_networks, check_games, check_training]
    if importlib.util.find_spec("gymnasium"):
        checks.append(check_gymnasium_ids)
    if all(importlib.util.find_spec(name) for name in ("mujoco", "gymnasium")):
        checks.append(check_half_cheetah)
    for check in checks:
        check()
        print(f"{check.__name__.removeprefix('check_').replace('_', ' ')}: as expected")


if __name__ == "__main__":
    main()
