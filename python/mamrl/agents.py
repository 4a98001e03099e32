"""What an experiment's names stand for: its game, policies, populations and value network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from mamrl.config import HALF_CHEETAH, Experiment
from mamrl.games.matrix import GAMES, MatrixGame
from mamrl.gaussian_policy import gaussian_policies
from mamrl.locomotion import HalfCheetahGame
from mamrl.personas import Population, personas_for
from mamrl.policies import LSTMNetwork, LSTMPolicy, Policy, TabularPolicy
from mamrl.teammates import load_teammates


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
    game: MatrixGame
    policies: tuple[Policy, ...]
    populations: dict[str, Population]
    value_network: LSTMNetwork | None

    @property
    def num_peers(self) -> int:
        """n - 1."""
        return self.game.num_players - 1


def build(experiment: Experiment) -> Setting:
    """Builds the parts that an experiment names."""
    if experiment.game == HALF_CHEETAH:
        return _build_half_cheetah(experiment)
    game = GAMES[experiment.game]()
    num_states = game.num_states
    peers = tuple(TabularPolicy(num_states, count) for count in game.action_counts[1:])
    own_actions = game.action_counts[0]
    own: Policy
    if experiment.agent == "lstm":
        own = LSTMPolicy(num_states, own_actions, experiment.hidden_size)
    else:
        own = TabularPolicy(num_states, own_actions)
    value_network = LSTMNetwork(num_states, 1, experiment.hidden_size) if experiment.critic == "lstm" else None
    populations = personas_for(game, experiment.persona_seed)
    return Setting(experiment, game, (own, *peers), populations, value_network)


def _build_half_cheetah(experiment: Experiment) -> Setting:
    """A meta-agent on the back leg that is to run right, beside front legs that were trained to run left."""
    teammates = load_teammates(experiment.teammates or None)
    own = gaussian_policies("2x3", hidden_size=experiment.hidden_size)[0]
    # the chain asks a game and its policies for no more than these have: num_states, play, log_probs
    game, policies = cast(MatrixGame, HalfCheetahGame()), cast(tuple[Policy, ...], (own, teammates.policy))
    return Setting(experiment, game, policies, teammates.populations(), None)
