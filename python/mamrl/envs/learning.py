"""An opponent that learns while it is played against: the peer of Kim et al. 2021, step by policy-gradient step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mamrl.envs.draws import Draws
from mamrl.envs.opponents import TabularOpponent, policy_of
from mamrl.errors import choose
from mamrl.games.matrix import MatrixGame
from mamrl.games.trajectories import Trajectories
from mamrl.meta.inner_step import InnerStep, policy_gradients
from mamrl.meta.objectives import INNER_OBJECTIVES
from mamrl.populations.personas import Population, personas_for


@dataclass(frozen=True, eq=False)
class LearningOpponent:
    """Settings of an opponent that begins as a persona and takes a policy-gradient step every few episodes.

    The step is the inner one of the papers (Kim et al. 2021, equation 3), ``phi + lr * grad``, with the discount, the
    linear baseline and the advantages that meta-training uses. An episode that is reset before its end teaches nothing.

    Attributes:
        population: the personas it begins as; None is the papers' training population.
        lr: alpha of the step.
        episodes: K, episodes of an environment between two steps, the K trajectories of the papers.
        lifetime: steps after which a new persona takes its seat; 0 for never. The papers' chain has 7.
        discount: gamma.
        gae_lambda: lambda of the advantages of loaded DiCE.
        objective: "loaded-dice" or "dice".

    Raises:
        ValueError: an attribute out of range.
    """

    population: Population | None = None
    lr: float = 1.0
    episodes: int = 16
    lifetime: int = 0
    discount: float = 0.96
    gae_lambda: float = 0.95
    objective: str = "loaded-dice"

    def __post_init__(self) -> None:
        choose("objective", self.objective, INNER_OBJECTIVES)
        if self.episodes < 1 or self.lifetime < 0:
            raise ValueError(
                f"episodes is {self.episodes} and lifetime {self.lifetime}, expected at least 1 and at least 0"
            )
        if not self.lr >= 0:
            raise ValueError(f"lr is {self.lr}, expected a number not below 0")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number in [0, 1]")


class Learner(TabularOpponent):
    """The opponent in E environments, in each of them with parameters of its own.

    Attributes:
        parameters: (E, P), rows of a tabular policy.
        lessons: (E,) int64, steps taken by the present persona.
    """

    learns = True

    def __init__(
        self, settings: LearningOpponent, game: MatrixGame, player: int, num_envs: int, episode_length: int
    ) -> None:
        if episode_length == 0:
            raise ValueError("episode_length is 0 (never ending), but a learning opponent learns from whole episodes")
        self._settings, self._length = settings, episode_length
        self._population = settings.population or personas_for(game)["train"]
        self._policy = policy_of(self._population, game, player)
        self._step = InnerStep(settings.discount, settings.gae_lambda, settings.objective, peer_influence=False)
        self.parameters = self._population.parameters[:1].repeat(num_envs, 1)
        self.lessons = torch.zeros(num_envs, dtype=torch.int64)
        super().__init__(torch.softmax(self._policy.table(self.parameters), -1), player, torch.arange(num_envs))
        self.random = True
        # what each environment's opponent has seen since its last step: (T, E, K), and how far it has come
        shape = (episode_length, num_envs, settings.episodes)
        small = torch.uint8 if game.num_states <= 256 else torch.int64
        self._states, self._actions = torch.zeros(shape, dtype=small), torch.zeros(shape, dtype=small)
        self._rewards = torch.zeros(shape, dtype=self.parameters.dtype)
        self._times, self._kept = torch.zeros_like(self.lessons), torch.zeros_like(self.lessons)
        self._fresh = torch.ones(num_envs, dtype=torch.bool)

    def begin(self, which: Tensor, draws: Draws, afresh: bool) -> None:
        self._times[which] = 0
        if afresh:
            self._kept[which], self._fresh[which] = 0, True
        newborn = which[self._fresh[which]]
        if len(newborn):
            chosen = (draws.uniforms(newborn, self.player) * len(self._population)).long()
            self._write(newborn, self._population.parameters[chosen])
            self.lessons[newborn] = 0
            self._fresh[newborn] = False

    def observe(
        self, states: Tensor, actions: Tensor, rewards: Tensor, playing: Tensor | None, ended: Tensor | None
    ) -> None:
        which = torch.arange(len(states)) if playing is None else playing.nonzero()[:, 0]
        place = (self._times[which], which, self._kept[which])
        self._states[place] = states[which].to(self._states.dtype)
        self._actions[place] = actions[which].to(self._actions.dtype)
        self._rewards[place] = rewards[which].to(self._rewards.dtype)
        self._times[which] += 1
        if ended is None:
            return
        self._kept += ended
        ready = (self._kept == self._settings.episodes).nonzero()[:, 0]
        if len(ready):
            self._learn(ready)

    def _learn(self, which: Tensor) -> None:
        rows = self.parameters[which].requires_grad_()
        states, actions = self._states[:, which].long(), self._actions[:, which].long()
        seen = Trajectories(states.unsqueeze(0), actions.unsqueeze(0), self._rewards[:, which].unsqueeze(0))
        with torch.enable_grad():
            log_probs = self._policy.log_probs(rows, states, actions)
            (gradient,) = policy_gradients(self._step, [rows], [log_probs], seen, self._policy.num_states, False)
        self._write(which, rows.detach() + self._settings.lr * gradient)
        self._kept[which] = 0
        self.lessons[which] += 1
        if self._settings.lifetime:
            self._fresh |= self.lessons >= self._settings.lifetime

    def _write(self, which: Tensor, parameters: Tensor) -> None:
        self.parameters[which] = parameters
        self.probabilities[which] = torch.softmax(self._policy.table(parameters), dim=-1)
