"""A step along both players' meta-values, and the weights' gradient, in the two games' networks, one thread."""

from __future__ import annotations

import pytest
import torch

from mamrl.ops.pair_network import pair_network, pair_network_own_gradient
from mamrl.ops.reference import pair_network as pair_layers
from mamrl.shaping.networks import iterated_2x2_network, logistic_game_network

NETWORKS = {"logistic": logistic_game_network, "iterated 2x2": iterated_2x2_network}


def cases(what, batch):
    return pytest.mark.parametrize(
        ("name", "batch"),
        [pytest.param(n, batch, marks=pytest.mark.benchmark(group=f"{what} {n} [{batch}]")) for n in NETWORKS],
    )


OWN_GRADIENT, WEIGHT_GRADIENT = cases("own gradient", 128), cases("weight gradient", 1280)


@pytest.fixture
def example(threads, name, batch):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    return network.weights, network.fields, torch.rand(2, batch, network.policy_size), torch.rand(2, batch)


def differentiate(function, weights, fields, x, gamma):
    (gradient,) = torch.autograd.grad(function(weights, fields, x, gamma).sum(), weights)
    return gradient


def one_pass_back(weights, fields, x, gamma):
    """No more work than the kernel's, though through the other player too."""
    leaf = x.requires_grad_()
    return torch.autograd.grad(pair_layers.pair_network(weights.detach(), fields, leaf, gamma).sum(), leaf)


@OWN_GRADIENT
def test_mamrl(benchmark, example):
    benchmark(pair_network_own_gradient, *example)


@OWN_GRADIENT
def test_reference(benchmark, example):
    benchmark(one_pass_back, *example)


@WEIGHT_GRADIENT
def test_mamrl_weights(benchmark, example):
    benchmark(differentiate, pair_network, *example)


@WEIGHT_GRADIENT
def test_reference_weights(benchmark, example):
    benchmark(differentiate, pair_layers.pair_network, *example)
