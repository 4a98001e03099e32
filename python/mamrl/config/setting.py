"""What an experiment's names stand for: its game, policies, populations and value network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mamrl.config.experiment import HALF_CHEETAH, Experiment
from mamrl.games.base import Game
from mamrl.games.locomotion import HalfCheetahGame
from mamrl.games.matrix import GAMES, rock_paper_scissors
from mamrl.games.trajectories import Trajectories, play, random_keys
from mamrl.meta import Sampler
from mamrl.policies import LSTMNetwork, LSTMPolicy, Policy, TabularPolicy
from mamrl.policies.gaussian import gaussian_policies
from mamrl.populations.personas import Population, personas_for
from mamrl.populations.teammates import load_teammates


@dataclass(frozen=True, eq=False)
class Setting:
    """An experiment with its parts built.

    Attributes:
        experiment: the configuration.
        game: what is played.
        policies: the meta-agent's policy, then each peer's.
        populations: personas by split.
        value_network: the critic, or None where a linear fit stands for it.
    """

    experiment: Experiment
    game: Game
    policies: tuple[Policy, ...]
    populations: dict[str, Population]
    value_network: LSTMNetwork | None

    @property
    def device(self) -> torch.device:
        """Where the game and the personas are, and so the agents that are trained on them."""
        return self.game.device

    def to(self, device: torch.device) -> Setting:
        """The same parts on another device.

        Raises:
            ValueError: the game cannot leave the one that it is on.
        """
        if device == self.device:
            return self
        game = self.game.to(device)
        populations = {split: population.to(device) for split, population in self.populations.items()}
        return replace(self, game=game, populations=populations)

    @property
    def num_peers(self) -> int:
        """n - 1."""
        return self.game.num_players - 1

    def keys(
        self,
        seed: int,
        purpose: str,
        round_number: int,
        chains: int,
        positions: int,
        *,
        first_chain: int = 0,
        first_position: int = 0,
    ) -> Tensor:
        """The random keys of a chain's positions, one behind the other: (positions, M, 2).

        Args:
            seed: of the random keys.
            purpose: "train", "validation", "test" or "other"; see :func:`mamrl.games.trajectories.random_keys`.
            round_number: the iteration, or whatever else counts the calls of one purpose.
            chains: M.
            positions: how many trajectories each chain samples.
            first_chain: the index of the first chain among all that share the other numbers.
            first_position: sets the streams apart from those of other keys that share the other numbers.
        """
        return torch.stack(
            [
                random_keys(seed, purpose, round_number, first_position + position, chains, first_chain, self.device)
                for position in range(positions)
            ]
        )

    def sampler(self, keys: Tensor, value_parameters: Tensor | None = None) -> Sampler:
        """(position, joint parameters) -> trajectories, with the experiment's K and T.

        Args:
            keys: (positions, M, 2), see :meth:`keys`.
            value_parameters: the value network's rows (M, P), to evaluate it in the same pass.
        """
        experiment, network = self.experiment, self.value_network if value_parameters is not None else None

        def sample(position: int, rows: Sequence[Tensor]) -> Trajectories:
            return play(
                self.game,
                self.policies,
                rows,
                keys[position],
                experiment.num_trajectories,
                experiment.horizon,
                network,
                value_parameters,
            )

        return sample


def build(experiment: Experiment) -> Setting:
    """Builds the parts that an experiment names."""
    if experiment.game == HALF_CHEETAH:
        return _build_half_cheetah(experiment)
    game = rock_paper_scissors(experiment.num_players) if experiment.game == "rps" else GAMES[experiment.game]()
    num_states = game.num_states
    peers = tuple(
        TabularPolicy(num_states, count, parametrisation=experiment.peer_policy) for count in game.action_counts[1:]
    )
    own_actions = game.action_counts[0]
    own: Policy
    if experiment.agent == "lstm":
        own = LSTMPolicy(num_states, own_actions, experiment.hidden_size, gradient_carry=experiment.gradient_carry)
    else:
        own = TabularPolicy(num_states, own_actions)
    value_network = LSTMNetwork(num_states, 1, experiment.hidden_size) if experiment.critic == "lstm" else None
    populations = personas_for(game, experiment.persona_seed, experiment.personas, experiment.peer_policy)
    return Setting(experiment, game, (own, *peers), populations, value_network)


def _build_half_cheetah(experiment: Experiment) -> Setting:
    """A meta-agent on the back leg that is to run right, beside front legs that were trained to run left."""
    teammates = load_teammates(experiment.teammates or None)
    own = gaussian_policies("2x3", hidden_size=experiment.hidden_size)[0]
    own = replace(own, gradient_carry=experiment.gradient_carry)
    return Setting(experiment, HalfCheetahGame(), (own, teammates.policy), teammates.populations(), None)
