"""Populations p(phi_0^-i) of initial peers ("personas") and their split into train, validation and test.

Tabular personas of Kim et al. 2021, section 5: in the prisoner's dilemma a probability of cooperation a state, uniform
in [.5, 1] (cooperative) or [0, .5] (defective); in rock-paper-scissors a probability of the favoured action a state,
uniform in [1/3, 1], the rest split evenly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mamrl.errors import choose
from mamrl.games.matrix import MatrixGame
from mamrl.policies import TabularPolicy

SPLITS = ("train", "validation", "test")
PERSONA_RANGES = ("in-distribution", "out-of-distribution")
# logits of probabilities 0 and 1 are infinite: probabilities are kept this far inside
_MARGIN = 1e-3


@dataclass(frozen=True, eq=False)
class Population:
    """Personas of one split.

    Attributes:
        parameters: (personas, P), rows of ``TabularPolicy`` parameters.
        groups: (personas,) int64, which of ``group_names`` each belongs to.
        group_names: e.g. ("cooperative", "defective").
    """

    parameters: Tensor
    groups: Tensor
    group_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.parameters.shape[0] == 0:
            raise ValueError("the population is empty, expected at least one persona")

    def __len__(self) -> int:
        return self.parameters.shape[0]

    def to(self, device: torch.device) -> Population:
        """The same personas on another device; groups stay on the CPU, where they are drawn from."""
        return replace(self, parameters=self.parameters.to(device))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """``count`` personas' parameters (count, P), the groups as even as can be, drawn with replacement."""
        num_groups = len(self.group_names)
        offset = int(torch.randint(num_groups, (1,), generator=generator))
        rows = []
        for i in range(count):
            members = (self.groups == (offset + i) % num_groups).nonzero().flatten()
            rows.append(members[torch.randint(len(members), (1,), generator=generator)])
        return self.parameters[torch.cat(rows)]


def bernoulli_personas(
    policy: TabularPolicy,
    ranges: Sequence[tuple[float, float]],
    group_names: Sequence[str],
    sizes: Sequence[int],
    seed: int,
    test_ranges: Sequence[tuple[float, float]] | None = None,
) -> dict[str, Population]:
    """Personas of a two-action game: each group draws P(action 0) uniformly in its range, independently per state.

    Args:
        policy: the peers' tabular policy.
        ranges: a (low, high) within [0, 1] for each group.
        group_names: a name for each group.
        sizes: personas in train, validation and test; each is divided evenly among the groups.
        seed: the same seed gives the same population.
        test_ranges: those of the test personas, where they are others.

    Raises:
        ValueError: a range is not within [0, 1], or there is not one for each group.
    """
    by_split = {"test": ranges if test_ranges is None else test_ranges}
    for name, given in (("ranges", ranges), ("test_ranges", by_split["test"])):
        if len(given) != len(group_names):
            raise ValueError(f"{name} are {len(given)}, expected one for each of the {len(group_names)} group_names")
    _check_ranges([*ranges, *by_split["test"]])

    def draw(split: str, group: int, count: int, generator: torch.Generator) -> Tensor:
        low, high = by_split.get(split, ranges)[group]
        first = low + (high - low) * torch.rand(count, policy.num_states, generator=generator)
        return torch.stack([first, 1 - first], dim=-1)

    return _populations(policy, draw, group_names, sizes, seed)


def favourite_personas(
    policy: TabularPolicy,
    value_range: tuple[float, float],
    group_names: Sequence[str],
    sizes: Sequence[int],
    seed: int,
    test_range: tuple[float, float] | None = None,
) -> dict[str, Population]:
    """Personas that favour one action: its probability is uniform in a range, drawn by state, the rest split evenly.

    Args:
        policy: of the peers, three actions or more; group g favours action g.
        value_range: of the favoured action's probability, within [0, 1].
        group_names: one an action.
        sizes: personas in train, validation and test.
        seed: of the draws.
        test_range: that of the test personas, where it is another.

    Raises:
        ValueError: a range is not within [0, 1], or groups are not one an action.
    """
    if len(group_names) != policy.num_actions:
        raise ValueError(f"group_names are {len(group_names)}, expected one an action, {policy.num_actions}")
    by_split = {"test": test_range or value_range}
    _check_ranges([value_range, by_split["test"]])

    def draw(split: str, group: int, count: int, generator: torch.Generator) -> Tensor:
        low, high = by_split.get(split, value_range)
        favoured = low + (high - low) * torch.rand(count, policy.num_states, generator=generator)
        rest = (1 - favoured) / (policy.num_actions - 1)
        probabilities = rest.unsqueeze(-1).repeat(1, 1, policy.num_actions)
        probabilities[..., group] = favoured
        return probabilities

    return _populations(policy, draw, group_names, sizes, seed)


def personas_for(
    game: MatrixGame, seed: int = 0, ranges: str = "in-distribution", parametrisation: str = "logit"
) -> dict[str, Population]:
    """The papers' population for a game: 400/40/40 in two-action games, 600/60/60 in games of three actions.

    In distribution the ranges are the papers'. Out of distribution they overlap less; the papers show that in a picture
    without numbers, these are ours: in the prisoner's dilemma test personas cooperate with a probability in [.75, 1] or
    [0, .25], those of training and validation in [.5, .85] or [.15, .5]; in rock-paper-scissors the favoured action has
    [.75, 1] in the test and [1/3, .85] before.

    Args:
        game: any game whose players have equally many actions.
        seed: the population's own seed, independent of the training's.
        ranges: one of ``PERSONA_RANGES``.
        parametrisation: of the peers' :class:`~mamrl.policies.TabularPolicy`, "logit" or "softmax".

    Raises:
        ValueError: players with different numbers of actions, or another ``ranges`` or ``parametrisation``.
    """
    if len(set(game.action_counts)) != 1:
        raise ValueError(f"personas need players with equally many actions, got {game.action_counts}")
    policy = TabularPolicy(game.num_states, game.action_counts[0], parametrisation=parametrisation)
    outside = choose("ranges", ranges, PERSONA_RANGES) == "out-of-distribution"
    if policy.num_actions == 2:
        dilemma = game.name == "ipd"
        names: tuple[str, ...] = ("cooperative", "defective") if dilemma else ("first action", "second action")
        seen = [(0.5, 0.85), (0.15, 0.5)] if outside else [(0.5, 1.0), (0.0, 0.5)]
        test = [(0.75, 1.0), (0.0, 0.25)] if outside else None
        return bernoulli_personas(policy, seen, names, (400, 40, 40), seed, test)
    names = tuple(name.lower() for name in game.action_names)
    return favourite_personas(
        policy, (1 / 3, 0.85 if outside else 1.0), names, (600, 60, 60), seed, (0.75, 1.0) if outside else None
    )


def _populations(
    policy: TabularPolicy,
    draw: Callable[[str, int, int, torch.Generator], Tensor],
    group_names: Sequence[str],
    sizes: Sequence[int],
    seed: int,
) -> dict[str, Population]:
    generator = torch.Generator().manual_seed(seed)
    populations = {}
    for split, size in zip(SPLITS, sizes, strict=True):
        rows, groups = [], []
        for group in range(len(group_names)):
            count = size // len(group_names) + (group < size % len(group_names))
            probabilities = draw(split, group, count, generator).clamp(_MARGIN, 1 - _MARGIN)
            rows.append(policy.parameters_of(probabilities / probabilities.sum(-1, keepdim=True)))
            groups.append(torch.full((count,), group))
        populations[split] = Population(torch.cat(rows), torch.cat(groups), tuple(group_names))
    return populations


def _check_ranges(ranges: Sequence[tuple[float, float]]) -> None:
    for low, high in ranges:
        if not 0 <= low <= high <= 1:
            raise ValueError(f"a range of probabilities is ({low}, {high}), expected 0 <= low <= high <= 1")
