"""An experiment as one frozen dataclass: everything that decides a run but its seed."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mamrl.errors import choose
from mamrl.games.matrix import GAMES
from mamrl.meta import Algorithm, Chain
from mamrl.meta.exact_chain import ExactChain
from mamrl.meta.opponent_model import WithOpponentModel
from mamrl.policies.tabular import PARAMETRISATIONS
from mamrl.populations.personas import PERSONA_RANGES

AGENTS = ("lstm", "tabular", "tabular-exact")
CRITICS = ("lstm", "linear")
HALF_CHEETAH = "half-cheetah"
LARGEST_FLOAT = 3e38
LARGEST_COUNT = 10_000_000
_SIZES = ("num_trajectories", "horizon", "chain_length", "chains", "hidden_size", "lookahead", "num_players")
_NOT_NEGATIVE = (
    "own_lr",
    "peer_lr",
    "actor_lr",
    "own_lr_lr",
    "critic_lr",
    "adam_eps",
    "entropy_weight",
    "chain_grad_clip",
    "grad_clip",
)


@dataclass(frozen=True)
class Experiment(Chain):
    """A meta-training run: the chain and its estimator (:class:`mamrl.meta.chain.Chain`), and how it is optimised.

    Attributes:
        game: a name of ``mamrl.games.GAMES``, or "half-cheetah".
        num_players: n, of rock-paper-scissors; the other games are for two.
        agent: the meta-agent: "lstm" (the papers'), "tabular", or "tabular-exact": tabular, trained on the exact chain
            without sampling.
        hidden_size: units of the LSTM.
        gradient_carry: the share of a gradient that passes from a step of the LSTM's state to the step before, within
            [0, 1]; below 1 the meta-agent's gradients through time are bounded (:func:`mamrl.ops.lstm.lstm`).
        peer_policy: what the peers of a matrix game learn in: "logit", one a state where there are two actions; or
            "softmax" of two, as published, which moves twice as far under the same ``peer_lr``.
        critic: the outer advantages' values: a learned "lstm" value network, or a "linear" fit to each tau_l.
        own_lr: initial inner learning rate of the meta-agent, the same at every position.
        learn_own_lr: learn it, one for each position (Al-Shedivat et al. 2018).
        actor_lr: Adam's learning rate for phi_0^i.
        own_lr_lr: Adam's learning rate for the inner learning rates.
        critic_lr: Adam's learning rate for the value network.
        lr_decay: lower all three linearly to zero over the iterations, so that the end is not as noisy as one batch.
        averaging: what is validated and kept is a running average of phi_0^i and the inner learning rates, of which
            this share stays from one iteration to the next (less at first), within [0, 1); 0 keeps the iterate itself.
        adam_eps: Adam's epsilon.
        amsgrad: use AMSGrad.
        entropy_weight: weight of the mean entropy over tau_0, added to the objective.
        chain_grad_clip: largest norm of one chain's meta-gradient, before a batch's chains are combined; 0 leaves it as
            it is. A chain near a bifurcation of its peer's learning has a gradient a hundred times the others'.
        grad_clip: largest norm of the combined meta-gradient; 0 leaves it as it is.
        pcgrad: project conflicting gradients of a batch's chains (Yu et al. 2020).
        chains: peers met at once, M.
        iterations: meta-gradient steps.
        validation_every: iterations between two validations on the validation personas.
        opponent_model: take the peer-learning gradient through parameters inferred from the peers' actions instead of
            through their true ones (decentralised meta-training; :mod:`mamrl.meta.opponent_model`).
        personas: "in-distribution", or "out-of-distribution": test personas from ranges that training hardly saw.
        persona_seed: of the population, the same for every run that is to be compared.
        teammates: HalfCheetah's population, a folder or file of ``mamrl population``; "" is the one that comes with
            mamrl.
    """

    game: str = "ipd"
    num_players: int = 2
    agent: str = "lstm"
    hidden_size: int = 64
    gradient_carry: float = 1.0
    peer_policy: str = "logit"
    critic: str = "lstm"
    own_lr: float = 0.1
    learn_own_lr: bool = True
    actor_lr: float = 1e-4
    own_lr_lr: float = 1e-4
    critic_lr: float = 1.5e-4
    lr_decay: bool = False
    averaging: float = 0.0
    adam_eps: float = 1e-8
    amsgrad: bool = False
    entropy_weight: float = 0.0
    chain_grad_clip: float = 0.0
    grad_clip: float = 10.0
    pcgrad: bool = False
    chains: int = 4
    iterations: int = 500
    validation_every: int = 20
    opponent_model: bool = False
    personas: str = "in-distribution"
    persona_seed: int = 0
    teammates: str = ""

    def __post_init__(self) -> None:
        self._check_types()
        super().__post_init__()
        choose("game", self.game, (*GAMES, HALF_CHEETAH))
        choose("agent", self.agent, AGENTS)
        choose("critic", self.critic, CRITICS)
        choose("personas", self.personas, PERSONA_RANGES)
        choose("peer_policy", self.peer_policy, PARAMETRISATIONS)
        if not 0 <= self.gradient_carry <= 1:
            raise ValueError(f"gradient_carry is {self.gradient_carry}, expected a number within [0, 1]")
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging is {self.averaging}, expected a number within [0, 1)")
        for name in ("hidden_size", "chains", "iterations", "validation_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in _NOT_NEGATIVE:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number not below 0")
        if self.game == HALF_CHEETAH and self.agent != "lstm":
            raise ValueError(f"agent is '{self.agent}', expected 'lstm': HalfCheetah has no table of states")
        if self.num_players != 2 and self.game != "rps":
            raise ValueError(f"num_players is {self.num_players}, expected 2: the payoffs of '{self.game}' are for two")
        if self.num_players < 2:
            raise ValueError(f"num_players is {self.num_players}, expected at least 2")
        if self.personas != "in-distribution" and self.game == HALF_CHEETAH:
            raise ValueError(
                f"personas is '{self.personas}', expected 'in-distribution': HalfCheetah's split is its own"
            )
        if self.agent == "tabular-exact" and not self.terms.is_its_terms:
            raise ValueError(
                f"algorithm '{self.algorithm}' samples, expected agent 'tabular' or 'lstm' (mamrl.shaping has exact "
                "rules)"
            )
        if self.opponent_model and (
            self.agent == "tabular-exact"
            or not (self.terms.peer_learning and self.terms.meta and self.terms.is_its_terms)
        ):
            raise ValueError(
                "opponent_model needs sampled play and a peer-learning gradient, got agent "
                f"'{self.agent}' and algorithm '{self.algorithm}'"
            )
        if self.opponent_model and self.game == HALF_CHEETAH:
            raise ValueError("opponent_model infers tabular policies, expected a matrix game")
        if self.critic == "lstm" and (self.agent != "lstm" or self.game == HALF_CHEETAH):
            object.__setattr__(self, "critic", "linear")

    def _check_types(self) -> None:
        """Every field is of its type, finite, and small enough to be computed with."""
        for name, kind in field_types().items():
            value = getattr(self, name)
            if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
                number = float(value)
                # single precision is what everything is computed in
                if not abs(number) <= LARGEST_FLOAT:
                    raise ValueError(f"{name} is {value}, expected a finite number")
                object.__setattr__(self, name, number)
            elif kind is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
                count = int(value)
                largest = LARGEST_COUNT if name in _SIZES else 2**63 - 1
                if abs(count) > largest:
                    raise ValueError(f"{name} is {value}, expected at most {largest}")
                object.__setattr__(self, name, count)
            elif type(value) is not kind:
                raise TypeError(f"{name} is {value!r}, expected a value of type {kind.__name__}")

    @property
    def method(self) -> Algorithm:
        """What an iteration does: the algorithm, on the chain that the agent and the peers' model ask for."""
        if self.agent == "tabular-exact":
            return ExactChain.on(self.terms)
        return WithOpponentModel.on(self.terms) if self.opponent_model else self.terms

    def replace(self, **changes: Any) -> Experiment:
        """A copy with other fields.

        Raises:
            ValueError: an unknown field (with the nearest name), or a value that does not fit.
        """
        for name in changes:
            choose("field", name, field_types())
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The fields, as experiment.json holds them."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> Experiment:
        """The inverse of :meth:`to_dict`, checked like :meth:`replace`."""
        return Experiment().replace(**fields)


@functools.cache
def field_types() -> dict[str, type]:
    """The fields of an experiment and their types."""
    return typing.get_type_hints(Experiment)


def parse_assignments(assignments: list[str], types: Mapping[str, type] | None = None) -> dict[str, Any]:
    """``["actor_lr=1e-3", "pcgrad=true"]`` -> typed fields.

    Args:
        assignments: of the form field=value.
        types: of the fields; None is those of an :class:`Experiment`.

    Raises:
        ValueError: not of the form field=value, an unknown field, or a value of the wrong type.
    """
    types = field_types() if types is None else types
    fields: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"'{assignment}' is not of the form field=value")
        choose("field", name, types)
        fields[name] = _parse(name, types[name], text)
    return fields


def _parse(name: str, kind: type, text: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        assert not isinstance(kind, types.UnionType)
        return kind(text)
    except (ValueError, KeyError):
        raise ValueError(f"{name} is '{text}', expected a value of type {kind.__name__}") from None
