"""A whole Meta-MAPG iteration (IPD, K=64, H=150, L=7, one chain) beside two in PyTorch."""

from __future__ import annotations

import pytest
import torch

from bench.rivals import meta_iteration as rival
from mamrl.config.setting import build
from mamrl.experiments import preset
from mamrl.training.learner import Learner

pytestmark = pytest.mark.usefixtures("threads")


def rival_arguments():
    torch.manual_seed(0)
    actor, critic = ([p.requires_grad_() for p in rival.initial_network(outputs)] for outputs in (2, 1))
    return actor, critic, torch.randn(5).requires_grad_()


@pytest.mark.benchmark(group="meta-iteration IPD K=64 H=150 L=7")
def test_mamrl(benchmark):
    learner = Learner(build(preset("ipd-paper").replace(chains=1, pcgrad=False)), seed=0)
    benchmark.pedantic(learner.step, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="meta-iteration IPD K=64 H=150 L=7")
def test_rival_expert_pytorch(benchmark):
    arguments = rival_arguments()
    benchmark.pedantic(lambda: rival.meta_iteration(rival.play_expert, *arguments, rival.Sizes()), rounds=3)


@pytest.mark.benchmark(group="meta-iteration IPD K=64 H=150 L=7")
def test_rival_published_shape(benchmark):
    arguments = rival_arguments()
    benchmark.pedantic(lambda: rival.meta_iteration(rival.play_per_step, *arguments, rival.Sizes()), rounds=1)
