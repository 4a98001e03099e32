"""The meta-agent that is trained: its parameters, its optimisers, and one meta-gradient step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mamrl import ops
from mamrl.config import Experiment
from mamrl.config.setting import Setting
from mamrl.distributed import ALONE, RankError, Ranks
from mamrl.meta import Position, Problem
from mamrl.meta.estimators import means_by_chain
from mamrl.meta.gradients import check_finite, clip_rows_by_norm, drop_overflowing, project_conflicting, scale_to_norm
from mamrl.training.capture import Captured, can_record

SMALLEST_RATE = 1e-30


@dataclass(frozen=True)
class StepRecord:
    """What one meta-gradient step saw.

    Attributes:
        rewards: the meta-agent's mean reward a step at each position, (L + 1,); of LOLA-DiCE after each simulated
            step of its peers.
        gradient_norm: before clipping.
        critic_loss: mean squared error of the value network; 0 without one.
        dropped_chains: of the batch, whose meta-gradients overflowed and were left out of the mean.
    """

    rewards: list[float]
    gradient_norm: float
    critic_loss: float
    dropped_chains: int = 0


def why_not_captured(experiment: Experiment) -> str:
    """What keeps an iteration from being recorded and replayed, as a sentence; empty where nothing does."""
    if experiment.method.waits_for_its_device:
        return experiment.method.waits_for_its_device
    if experiment.pcgrad and experiment.chains > 1:
        return "PCGrad projects the chains' gradients on the host, in an order that is drawn there"
    return ""


class Learner:
    """A meta-agent in training.

    An iteration has three parts. What is new in it is drawn on the host and put into tensors that stay where they are:
    peers, random keys, learning rates. Then everything else is computed from tensors alone, so that a device that can
    record it replays it. Last, its numbers are read, which is the one time that it waits.

    Args:
        setting: what is trained, and on which device.
        seed: of everything random.
        capture: record an iteration where device and experiment allow it.
        ranks: who else computes chains of the batch; all of them draw all of it, and take the same step.

    Attributes:
        parameters: phi_0^i, (P,).
        own_lr: its inner learning rate by position, (L,).
        average: of both behind each other, (P + L,), over the iterations (Polyak & Juditsky 1992).
        value_parameters: the critic's, (P_v,); empty without one.
    """

    def __init__(self, setting: Setting, seed: int, *, capture: bool = True, ranks: Ranks = ALONE) -> None:
        experiment = setting.experiment
        self.setting, self.seed, self.iteration, self.ranks = setting, seed, 0, ranks
        self._share = ranks.share(experiment.chains)
        self.algorithm = experiment.method
        self.chain = self.algorithm.trained_on(experiment)
        self.generator = torch.Generator().manual_seed(seed)
        self.parameters = setting.policies[0].initial(self.generator)
        if not self.parameters.any():
            # a table starts near uniform, but not at a point of perfect symmetry
            self.parameters += 0.1 * torch.randn(self.parameters.shape, generator=self.generator)
        network = setting.value_network
        value_parameters = network.initial(self.generator) if network else torch.zeros(0)
        # drawn on the CPU, so that every device starts from the same numbers
        self.parameters, self.value_parameters = self.parameters.to(setting.device), value_parameters.to(setting.device)
        self.own_lr = torch.full((experiment.chain_length,), experiment.own_lr, device=setting.device)
        self.average = torch.cat([self.parameters, self.own_lr])
        self.captured = capture and ranks.alone and can_record(setting.device) and not why_not_captured(experiment)
        self.optimizers = {
            "actor": self._adam(self.parameters, experiment.actor_lr),
            "own_lr": self._adam(self.own_lr, experiment.own_lr_lr),
            "critic": self._adam(self.value_parameters, experiment.critic_lr),
        }
        population = setting.populations["train"].parameters
        self._peers = [population.new_empty(experiment.chains, population.shape[1]) for _ in range(setting.num_peers)]
        self._num_samples = self.algorithm.num_samples(self.chain)
        self._keys = torch.empty(self._num_samples, experiment.chains, 2, dtype=torch.int64, device=setting.device)
        self._advance = self._make_advance()

    def _adam(self, tensor: Tensor, rate: float) -> torch.optim.Adam:
        experiment = self.setting.experiment
        options: dict[str, Any] = {"eps": experiment.adam_eps, "amsgrad": experiment.amsgrad}
        optimizer = torch.optim.Adam([tensor], lr=rate, capturable=self.captured, **options)
        if self.captured:
            # a recorded step counts on the device, and reads its rate there
            optimizer.param_groups[0]["lr"] = torch.full((), rate, device=tensor.device)
        return optimizer

    def _make_advance(self) -> Callable[[], Tensor]:
        return Captured(self.compute, self.setting.device) if self.captured else self.compute

    def step(self) -> StepRecord:
        """One meta-gradient step on a batch of fresh chains.

        Raises:
            FloatingPointError: a gradient is NaN or infinite, and so are the parameters now.
            RankError: another rank ended; nothing has changed.
        """
        drawn = self.generator.get_state()
        try:
            *rewards, norm, critic_loss, critic_norm, dropped = self.advance().tolist()
        except RankError:
            self.generator.set_state(drawn)
            raise
        check_finite(norm)
        check_finite(critic_norm)
        self._fold_into_average()
        self.iteration += 1
        return StepRecord(rewards, norm, critic_loss, int(dropped))

    def _fold_into_average(self) -> None:
        """Moves the average towards the iterate, the faster the fewer iterates it stands on."""
        kept = min(self.setting.experiment.averaging, self.iteration / (self.iteration + 2))
        self.average.lerp_(torch.cat([self.parameters, self.own_lr]), 1 - kept)

    def agent(self) -> tuple[Tensor, Tensor]:
        """What is validated and kept, phi_0^i (P,) and inner learning rates (L,): the average where there is one."""
        averaged = self.setting.experiment.averaging > 0
        both = self.average if averaged else torch.cat([self.parameters, self.own_lr])
        parameters, own_lr = both.split([len(self.parameters), len(self.own_lr)])
        return parameters.clone(), own_lr.clone()

    def advance(self) -> Tensor:
        """What :meth:`step` does before it looks at numbers; returns what :meth:`compute` does."""
        self.fill()
        return self._advance()

    def fill(self) -> None:
        """Draws what is new in this iteration into the tensors that :meth:`compute` reads."""
        experiment = self.setting.experiment
        for peers in self._peers:
            peers.copy_(self.setting.populations["train"].sample(experiment.chains, self.generator))
        self._keys.copy_(self.setting.keys(self.seed, "train", self.iteration, experiment.chains, self._num_samples))
        decay = 1 - self.iteration / experiment.iterations if experiment.lr_decay else 1.0
        for name, optimizer in self.optimizers.items():
            rate, group = decay * getattr(experiment, f"{name}_lr"), optimizer.param_groups[0]
            if self.captured:
                # a recorded step divides by its rate
                group["lr"].fill_(max(rate, SMALLEST_RATE))
            else:
                group["lr"] = rate

    def compute(self) -> Tensor:
        """The iteration, from tensors to tensors: nothing here waits for the device (but for PCGrad and exact chains).

        Returns:
            The mean rewards by position, the gradient's norm, the critic's loss and its gradient's norm, and how many
            chains were dropped, in a row.
        """
        chains = self._share.stop - self._share.start
        own = self.parameters.expand(chains, -1).clone().requires_grad_()
        own_lr = self.own_lr.expand(chains, -1).clone().requires_grad_()
        outcome = self.algorithm.objective(self._problem(own, own_lr))
        objective = outcome.objective
        critic_rows, losses = self.value_parameters.new_empty(chains, 0), self.own_lr.new_zeros(chains, 1)
        if outcome.positions:
            objective = objective + self._entropy_bonus(outcome.positions[0])
            critic_rows, losses = self._critic_gradients(outcome.positions)
        # of the leaves that a first-order step differentiates in, nobody asks
        (-objective).sum().backward(inputs=[own, own_lr])
        assert own.grad is not None
        lr_rows = torch.zeros_like(own_lr) if own_lr.grad is None else own_lr.grad
        rewards = outcome.rewards if outcome.rewards.dim() == 2 else outcome.rewards.unsqueeze(1).expand(-1, chains)
        mine = [own.grad, lr_rows, critic_rows, rewards.T.to(own.dtype), losses]
        own_rows, lr_rows, critic_rows, rewards, losses = self.ranks.gather(mine, self.setting.experiment.chains)
        norm, dropped = self._ascend(own_rows, lr_rows)
        critic_norm = self._fit_critic(critic_rows)
        numbers = torch.stack([norm, losses.sum(), critic_norm, dropped.to(norm.dtype)])
        return torch.cat([rewards.double().mean(0).to(norm.dtype), numbers])

    def _problem(self, own: Tensor, own_lr: Tensor) -> Problem:
        setting = self.setting
        has_critic = setting.value_network is not None
        value_rows = self.value_parameters.expand(len(own), -1) if has_critic else None
        sampler = setting.sampler(self._keys[:, self._share], value_rows)
        rows = [own, *(peers[self._share] for peers in self._peers)]
        return Problem(self.chain, setting.game, setting.policies, rows, own_lr, sampler, has_critic, self._whole_batch)

    def _whole_batch(self, mine: Tensor) -> Tensor:
        return self.ranks.gather([mine.unsqueeze(1)], self.setting.experiment.chains)[0].squeeze(1)

    def _entropy_bonus(self, first: Position) -> Tensor | float:
        """The weighted mean entropy over tau_0, (M,); 0 where it has no weight."""
        weight, played = self.setting.experiment.entropy_weight, first.trajectories
        if not weight:
            return 0.0
        policy = self.setting.policies[0]
        entropies = policy.entropies(first.parameters[0], played.states[0], played.recorded_of(0))
        return weight * entropies.mean((0, 2))

    def _critic_gradients(self, positions: Sequence[Position]) -> tuple[Tensor, Tensor]:
        """Each chain's part of the value network's mean squared error from the returns of every position.

        Returns:
            Its gradient (m, P_v) and its value (m, 1); of no columns and zero without a value network.
        """
        network, experiment = self.setting.value_network, self.setting.experiment
        chains = self._share.stop - self._share.start
        if network is None:
            return self.value_parameters.new_empty(chains, 0), self.own_lr.new_zeros(chains, 1)
        rows = self.value_parameters.expand(chains, -1).clone().requires_grad_()
        total, parts = rows.new_zeros(()), []
        for position in positions:
            trajectories = position.trajectories
            returns = ops.discounted_returns(trajectories.rewards[0], experiment.discount)
            values = network.outputs(rows, trajectories.states[0], trajectories.values_recorded).squeeze(-1)
            squares = (values - returns).square()
            # of the whole batch's mean
            total = total + squares.sum() / (experiment.chains * squares[:, 0].numel()) / len(positions)
            parts.append(means_by_chain(squares.detach()))
        (gradient,) = torch.autograd.grad(total, rows)
        return gradient, torch.stack(parts).mean(0).unsqueeze(1) / experiment.chains

    def _fit_critic(self, rows: Tensor) -> Tensor:
        """One step of the value network along the chains' summed gradients; returns their norm."""
        if not rows.shape[1]:
            return self.own_lr.new_zeros(())
        gradient = rows.sum(0)
        norm = scale_to_norm([gradient], self.setting.experiment.grad_clip)
        self._apply("critic", self.value_parameters, gradient)
        return norm

    def _ascend(self, own: Tensor, own_lr: Tensor) -> tuple[Tensor, Tensor]:
        """Combines the chains' gradients and takes the optimisers' steps.

        Args:
            own: every chain's gradient in phi_0^i, (M, P).
            own_lr: in its inner learning rates, (M, L).

        Returns:
            The gradient's norm, NaN where no chain has a finite one; and how many chains have none.
        """
        experiment, chains = self.setting.experiment, own.shape[0]
        both = torch.cat([own, own_lr], dim=1)
        both, dropped = drop_overflowing(both)
        both = clip_rows_by_norm(both, experiment.chain_grad_clip)
        projected = experiment.pcgrad and chains > 1
        combined = project_conflicting(both, self.generator) if projected else both.mean(0)
        # a mean over all rows becomes one over those that were kept; where all were, no bit changes
        combined = combined * (chains / (chains - dropped).clamp(min=1))
        gradients = list(combined.split([own.shape[1], own_lr.shape[1]]))
        norm = scale_to_norm(gradients, experiment.grad_clip)
        self._apply("actor", self.parameters, gradients[0])
        if experiment.learn_own_lr and self.algorithm.own_learning:
            self._apply("own_lr", self.own_lr, gradients[1])
        return torch.where(dropped < chains, norm, torch.nan), dropped

    def _apply(self, name: str, tensor: Tensor, gradient: Tensor) -> None:
        tensor.grad = gradient
        self.optimizers[name].step()
        tensor.grad = None

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "parameters": self.parameters.clone(),
            "own_lr": self.own_lr.clone(),
            "average": self.average.clone(),
            "value_parameters": self.value_parameters.clone(),
            "generator": self.generator.get_state(),
            "iteration": self.iteration,
            "seed": self.seed,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state` was taken, bit for bit."""
        self.parameters.copy_(state["parameters"])
        self.own_lr.copy_(state["own_lr"])
        # runs from before there was an average go on from where they are
        self.average.copy_(state.get("average", torch.cat([state["parameters"], state["own_lr"]])))
        self.value_parameters.copy_(state["value_parameters"])
        self.generator.set_state(state["generator"])
        self.iteration, self.seed = state["iteration"], state["seed"]
        for name, optimizer in self.optimizers.items():
            # only what it remembers: how it steps is this device's business
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state["optimizers"][name]["state"], "param_groups": groups})
        # a recording reads the tensors that an optimiser had before
        self._advance = self._make_advance()
