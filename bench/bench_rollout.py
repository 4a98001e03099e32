"""Rollouts of the iterated prisoner's dilemma, LSTM(64) actor and critic against a tabular peer, one thread."""

from __future__ import annotations

import pytest
import torch

from bench.rivals import rollout as rival
from mamrl import games, ops
from mamrl.ops import reference

HORIZON, UNITS, NUM_STATES = 150, 64, 5
SIZES = [
    pytest.param(k, marks=pytest.mark.benchmark(group=f"rollout LSTM(64) actor, critic, K={k} H=150"))
    for k in (64, 4096)
]
TRAJECTORIES = pytest.mark.parametrize("trajectories", SIZES)


def network(outputs: int) -> list[torch.Tensor]:
    return [
        0.3 * torch.randn(1, NUM_STATES, 4 * UNITS),
        torch.randn(1, 4 * UNITS, UNITS) / 8,
        torch.randn(1, outputs, UNITS) / 8,
        torch.zeros(1, outputs),
    ]


@pytest.fixture
def players(threads):
    torch.manual_seed(0)
    return games.ipd().payoffs.float(), network(2), network(1), torch.randn(1, NUM_STATES, 2)


def play(players, trajectories: int, record: bool = True) -> list[torch.Tensor]:
    payoffs, actor, critic, peer = players
    kinds, keys = [reference.LSTM_WITH_VALUE, reference.TABULAR], torch.tensor([[1, 2]])
    return ops.matrix_game_rollout(payoffs, [*actor, *critic, peer], kinds, keys, trajectories, HORIZON, record)


@TRAJECTORIES
def test_mamrl(benchmark, players, trajectories):
    """As the rivals: nothing kept for a backward."""
    benchmark(play, players, trajectories, record=False)


@pytest.mark.parametrize("trajectories", SIZES[:1])
def test_mamrl_recorded(benchmark, players, trajectories):
    """What a meta-iteration runs: everything kept that the differentiable pass needs."""
    benchmark(play, players, trajectories)


@TRAJECTORIES
def test_rival_eager(benchmark, players, trajectories):
    benchmark(rival.eager, *players, trajectories, HORIZON)


def test_rival_computes_the_networks_outputs(players):
    states, actions, rewards, logits, values = rival.eager(*players, 64, HORIZON)
    payoffs, actor, critic, _ = players
    own = states[:, 0].unsqueeze(1)
    torch.testing.assert_close(logits.unsqueeze(1), reference.lstm(actor[0], own, *actor[1:]), rtol=1e-4, atol=1e-4)
    expected = reference.lstm(critic[0], own, *critic[1:])[:, 0, :, 0]
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(rewards[:, 0], payoffs[0][actions[:, 0], actions[:, 1]])
