"""An agent that learns from games with its past selves: the loop that LOQA and Advantage Alignment are updates in."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from mamrl.games.stepped import SteppedGame
from mamrl.shaping.actor_critic import Batch, Games, Network, mean_values, play_games
from mamrl.shaping.past_selves import PastSelves


class Shaper(Protocol):
    """What is descended, and nothing else, is a shaper's own."""

    def loss(self, batch: Batch, discount: float) -> Tensor:
        """A scalar, differentiable in the batch's log-probabilities and values."""
        ...


@dataclass(frozen=True)
class SelfPlay:
    """How an agent is trained in games with itself.

    Attributes:
        batch: games an update, E.
        horizon: their length, T.
        opponents: how many past selves share a batch; each plays batch / opponents games of it.
        past_selves: how many are kept.
        push_every: updates between two that are kept.
        discount: g.
        actor_lr: Adam's learning rate of the actor.
        critic_lr: Adam's learning rate of the critic.
        target_decay: of the critic's moving average that its targets are taken from.
        entropy_weight: of the actor's mean entropy, added to what is ascended.
        grad_clip: the actor's largest gradient norm.
        exploration: the probability with which an action is drawn uniformly instead.
        epochs: updates of actor and critic on a batch; more than one is for losses that are clipped.
    """

    batch: int = 512
    horizon: int = 50
    opponents: int = 16
    past_selves: int = 10_000
    push_every: int = 10
    discount: float = 0.96
    actor_lr: float = 1e-3
    critic_lr: float = 1e-2
    target_decay: float = 0.99
    entropy_weight: float = 0.1
    grad_clip: float = 1.0
    exploration: float = 0.0
    epochs: int = 1

    def __post_init__(self) -> None:
        if self.batch % self.opponents:
            raise ValueError(f"opponents is {self.opponents}, expected a divisor of batch, {self.batch}")


@dataclass(frozen=True)
class UpdateRecord:
    """What one update saw.

    Attributes:
        reward: the agent's mean reward a step.
        other_reward: the past selves'.
        entropy: of its actor, in nats.
        actor_norm: of the actor's gradient before it is clipped.
        critic_loss: mean Huber loss of the critic.
    """

    reward: float
    other_reward: float
    entropy: float
    actor_norm: float
    critic_loss: float


class SelfPlayLearner:
    """An actor, a critic, its target, and the past selves.

    The critic gives each action's value and sees the time besides, as a share of the horizon.

    Args:
        game: what is played.
        shaper: what is descended.
        settings: how.
        actor: a network of A outputs on what is seen.
        critic: a network of A outputs on what is seen and the time.
        seed: of everything random.

    Attributes:
        actor_row: (1, P).
        critic_row: (1, P_q).
        updates: taken so far.
    """

    def __init__(
        self, game: SteppedGame, shaper: Shaper, settings: SelfPlay, actor: Network, critic: Network, seed: int
    ) -> None:
        self.game, self.shaper, self.settings, self.actor, self.critic = game, shaper, settings, actor, critic
        self.generator = torch.Generator().manual_seed(seed)
        self.actor_row = actor.initial(self.generator).unsqueeze(0).requires_grad_()
        self.critic_row = critic.initial(self.generator).unsqueeze(0).requires_grad_()
        self.target_row = self.critic_row.detach().clone()
        self.past = PastSelves(settings.past_selves)
        self.updates = 0
        self._optimizers = {
            "actor": torch.optim.Adam([self.actor_row], lr=settings.actor_lr, foreach=False, fused=True),
            "critic": torch.optim.Adam([self.critic_row], lr=settings.critic_lr, foreach=False, fused=True),
        }

    def step(self) -> UpdateRecord:
        """Plays a batch of games and takes one update of actor and critic."""
        settings = self.settings
        if self.updates % settings.push_every == 0:
            self.past.push(torch.cat([self.actor_row, self.critic_row], 1)[0])
        others = self.past.draw(settings.opponents, self.generator)
        other_actors, other_critics = others.split([self.actor.num_parameters, self.critic.num_parameters], 1)
        games = play_games(
            self.game,
            self.actor,
            [self.actor_row, other_actors],
            settings.batch,
            settings.horizon,
            self.generator,
            settings.exploration,
        )
        with torch.no_grad():
            other_q = self._q_values(other_critics, games.seen[1, :-1])
        for _ in range(settings.epochs):
            record = self._update(games, other_q)
        self.updates += 1
        return record

    def _update(self, games: Games, other_q: Tensor) -> UpdateRecord:
        """One step of the actor along the shaper's loss, and one of the critic and its target."""
        settings = self.settings
        logits = self.actor.outputs(self.actor_row, games.seen[0].unsqueeze(1)).squeeze(1)
        q_values = self._q_values(self.critic_row, games.seen[0])
        logs = torch.log_softmax(logits[:-1], -1)
        taken = games.actions[0].unsqueeze(-1)
        batch = Batch(
            logs.gather(-1, taken).squeeze(-1),
            torch.log_softmax(games.logits[0], -1).gather(-1, taken).squeeze(-1),
            mean_values(logits, q_values),
            games.rewards[0],
            games.rewards[1:],
            games.actions[1:],
            other_q.unsqueeze(0),
            mean_values(games.logits[1:], other_q.unsqueeze(0)),
        )
        entropy = -(logs.exp() * logs).sum(-1).mean()
        loss = self.shaper.loss(batch, settings.discount) - settings.entropy_weight * entropy
        critic_loss = self._critic_loss(q_values, logits.detach(), games)
        (actor_grad,) = torch.autograd.grad(loss, [self.actor_row], retain_graph=True)
        (critic_grad,) = torch.autograd.grad(critic_loss, [self.critic_row])
        norm = torch.linalg.vector_norm(actor_grad)
        self._descend("actor", self.actor_row, actor_grad * (settings.grad_clip / norm.clamp_min(1e-12)).clamp_max(1.0))
        self._descend("critic", self.critic_row, critic_grad)
        self.target_row.lerp_(self.critic_row.detach(), 1 - settings.target_decay)
        numbers = torch.stack([games.rewards[0].mean(), games.rewards[1:].mean(), entropy, norm, critic_loss])
        return UpdateRecord(*numbers.tolist())

    def _q_values(self, rows: Tensor, seen: Tensor) -> Tensor:
        """The critics' values of each action: rows (M, P_q), what was seen (T, E, D) -> (T, E, A)."""
        times = torch.arange(len(seen)).div(self.settings.horizon).view(-1, 1, 1).expand(*seen.shape[:2], 1)
        dealt = torch.cat([seen, times], -1).view(len(seen), rows.shape[0], seen.shape[1] // rows.shape[0], -1)
        return self.critic.outputs(rows, dealt).reshape(*seen.shape[:2], -1)

    def _critic_loss(self, q_values: Tensor, logits: Tensor, games: Games) -> Tensor:
        """Huber loss of Q(a_t) against r_t + g Q'(a_{t+1}), and V' after the last step, Q' being the target's."""
        with torch.no_grad():
            later = self._q_values(self.target_row, games.seen[0])
            taken = games.actions[0].unsqueeze(-1)
            following = torch.cat([later[:-1].gather(-1, taken).squeeze(-1)[1:], mean_values(logits, later)[-1:]])
            targets = games.rewards[0] + self.settings.discount * following
        return torch.nn.functional.huber_loss(q_values[:-1].gather(-1, taken).squeeze(-1), targets)

    def _descend(self, name: str, row: Tensor, grad: Tensor) -> None:
        row.grad = grad
        self._optimizers[name].step()
        row.grad = None

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on, as a copy."""
        return {
            "actor": self.actor_row.detach().clone(),
            "critic": self.critic_row.detach().clone(),
            "target": self.target_row.clone(),
            "past": list(self.past.rows),
            "optimizers": {name: copy.deepcopy(it.state_dict()) for name, it in self._optimizers.items()},
            "generator": self.generator.get_state(),
            "updates": self.updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where :meth:`state` was taken."""
        with torch.no_grad():
            self.actor_row.copy_(state["actor"])
            self.critic_row.copy_(state["critic"])
            self.target_row.copy_(state["target"])
        self.past = PastSelves(self.settings.past_selves, state["past"])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.generator.set_state(state["generator"])
        self.updates = state["updates"]
