"""A whole meta-iteration of Meta-MAPG: ours, eager torch, compiled torch, and JAX; by a table and by the papers' LSTM.

What is compared are each chain's gradients in phi_0^i and in its learning rates, on trajectories that ours sampled.
What is timed samples its own: L + 1 positions, the inner steps between them, the meta-gradient, clipping, Adam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.rivals.contest import OURS, Contest, Way
from mamrl.config import Experiment
from mamrl.config.setting import Setting, build
from mamrl.experiments import preset
from mamrl.games.trajectories import Trajectories
from mamrl.meta.estimators import meta_objective
from mamrl.policies import LSTMPolicy
from mamrl.training.learner import Learner


class Problem:
    """A batch of chains: phi_0, peers, and the trajectories that ours sampled along them."""

    def __init__(self, experiment: Experiment, seed: int = 0) -> None:
        self.experiment = experiment
        self.setting: Setting = build(experiment)
        policy = self.setting.policies[0]
        self.network = policy.network if isinstance(policy, LSTMPolicy) else None
        learner = self.learner(seed)
        learner.fill()
        self.own, self.rates = learner.parameters.clone(), learner.own_lr.clone()
        self.peers: Tensor = learner._peers[0].clone()
        own, rates = self.rows()
        positions = learner.algorithm.play_chain(learner._problem(own, rates))
        self.trajectories: list[Trajectories] = [position.trajectories for position in positions]

    def learner(self, seed: int = 0) -> Learner:
        return Learner(self.setting, seed)

    def rows(self) -> tuple[Tensor, Tensor]:
        chains = len(self.peers)
        return tuple(x.expand(chains, -1).clone().requires_grad_() for x in (self.own, self.rates))

    def gradients(self) -> list[np.ndarray]:
        """By ours, each chain's in phi_0^i (M, P) and in the learning rates (M, L)."""
        own, rates = self.rows()
        setting = self.setting
        parts = (self.experiment, setting.game, setting.policies, [own, self.peers], rates, self.trajectories)
        return by_chain(torch.autograd.grad(meta_objective(*parts).sum(), [own, rates]))


def by_chain(gradients: Any) -> list[np.ndarray]:
    """Each chain's gradient for itself, so that a large one does not hide a small one's error."""
    own, rates = (np.asarray(gradient) for gradient in gradients)
    return [*own, *rates]


def mamrl_step(problem: Problem) -> Callable[[], Any]:
    return problem.learner().step


def torch_trainer(problem: Problem, compiled: bool) -> Any:
    from bench.rivals.chain_torch import Trainer

    trainer = Trainer(problem.experiment, problem.setting.game.payoffs, problem.network, compiled)
    trainer.start(problem.own)
    return trainer


def torch_step(problem: Problem, compiled: bool) -> Callable[[], Any]:
    step = partial(torch_trainer(problem, compiled).step, problem.peers)
    step()
    return step


def torch_gradients(problem: Problem, step: Callable[[], Any]) -> list[np.ndarray]:
    """Of the trainer that is timed, back at the start."""
    from bench.rivals.chain_torch import Record

    trainer = step.func.__self__
    trainer.start(problem.own)
    records = [Record(t.states.transpose(0, 1), t.actions.transpose(0, 1)) for t in problem.trajectories]
    return by_chain(trainer.gradients(problem.peers, records)[:2])


class JaxStep:
    """A meta-iteration in JAX, compiled, from one state on."""

    def __init__(self, problem: Problem, over_chains: str) -> None:
        import jax
        import jax.numpy as jnp

        from bench.rivals.chain_jax import Trainer

        payoffs = problem.setting.game.payoffs.numpy()
        self.problem, self.jax = problem, jax
        self.trainer = Trainer(problem.experiment, payoffs, problem.network, over_chains)
        self.state = self.trainer.start(problem.own.numpy())
        self.key, self.peers = jax.random.PRNGKey(0), jnp.asarray(problem.peers.numpy())
        self()

    def __call__(self) -> Any:
        self.key, key = self.jax.random.split(self.key)
        self.state, rewards = self.trainer.step(self.state, self.peers, key)
        return self.jax.block_until_ready(rewards)

    def gradients(self) -> list[np.ndarray]:
        problem = self.problem
        actions = torch.stack([t.actions for t in problem.trajectories]).permute(3, 0, 2, 1, 4)
        # draws that decide for these actions
        draws = (3 * actions - 1).float().numpy()
        start = (problem.own.numpy(), problem.rates.numpy(), self.peers, draws)
        return by_chain(self.trainer.gradients(*start)[0])


def contest(name: str, work: str, rounds: int, **changes: Any) -> Contest:
    problem = Problem(preset(name).replace(**changes))

    def in_torch(name: str, compiled: bool, note: str = "") -> Way:
        make, result = partial(torch_step, problem, compiled), partial(torch_gradients, problem)
        return Way(name, make, "torch", result, 1e-3, note)

    def in_jax(name: str, over_chains: str) -> Way:
        return Way(name, partial(JaxStep, problem, over_chains), "jax", JaxStep.gradients, 1e-3)

    compiled = "sampling compiled, derivatives eager" if problem.network else "sampling and each position compiled"
    ways = [
        Way(OURS, partial(mamrl_step, problem), "mamrl", lambda step: problem.gradients()),
        in_torch("torch, eager", False),
        in_torch("torch, compiled", True, compiled),
        in_jax("JAX, jitted, vmap over chains", "vmap"),
    ]
    if problem.network:
        ways.append(in_jax("JAX, jitted, one chain after the other", "map"))
    return Contest("meta_gradient", work, ways, rounds)


def contests() -> Iterator[Contest]:
    shape = "K = 64, T = 150, L = 7"
    yield contest("ipd-tabular", f"meta-iteration, table, 8 chains, {shape}", 9)
    yield contest("ipd", f"meta-iteration, LSTM(64), 2 chains, {shape}", 3, chains=2)
