"""Populations of initial peers."""

from __future__ import annotations

import pytest
import torch

from mamrl import games
from mamrl.policies import TabularPolicy
from mamrl.populations.personas import Population, bernoulli_personas, personas_for


def test_ipd_population_is_the_papers():
    populations = personas_for(games.ipd())
    assert {split: len(population) for split, population in populations.items()} == {
        "train": 400,
        "validation": 40,
        "test": 40,
    }
    for population in populations.values():
        cooperation = torch.sigmoid(population.parameters)
        cooperative = population.groups == 0
        assert int(cooperative.sum()) == len(population) // 2
        assert cooperation[cooperative].min() >= 0.5
        assert cooperation[~cooperative].max() <= 0.5
    # independent draws by state: nowhere near one probability a persona
    assert torch.sigmoid(populations["train"].parameters[:200]).std(1).mean() > 0.1


def test_rps_personas_favour_one_action():
    game = games.rock_paper_scissors()
    policy = TabularPolicy(game.num_states, 3)
    populations = personas_for(game)
    assert {split: len(population) for split, population in populations.items()} == {
        "train": 600,
        "validation": 60,
        "test": 60,
    }
    train = populations["train"]
    probabilities = torch.softmax(policy.table(train.parameters), dim=-1)
    for group in range(3):
        members = probabilities[train.groups == group]
        assert (members.argmax(-1) == group).float().mean() > 0.99
        assert members[..., group].min() > 1 / 3 - 1e-3
        others = [a for a in range(3) if a != group]
        torch.testing.assert_close(members[..., others[0]], members[..., others[1]])


def test_same_seed_same_population_and_splits_differ():
    first, again, other = (personas_for(games.ipd(), seed) for seed in (0, 0, 1))
    assert torch.equal(first["test"].parameters, again["test"].parameters)
    assert not torch.equal(first["test"].parameters, other["test"].parameters)
    assert not torch.equal(first["test"].parameters, first["validation"].parameters)


def test_samples_hold_every_group_evenly():
    population = personas_for(games.ipd())["train"]
    rows = population.sample(8, torch.Generator().manual_seed(0))
    cooperative = (torch.sigmoid(rows) >= 0.5).all(1)
    assert int(cooperative.sum()) == 4


@pytest.mark.parametrize("value_range", [(0.5, 1.2), (-0.1, 0.5), (0.8, 0.2)])
def test_probabilities_outside_the_unit_interval_are_refused(value_range):
    with pytest.raises(ValueError, match="expected 0 <= low <= high <= 1"):
        bernoulli_personas(TabularPolicy(5, 2), [value_range], ["odd"], (4, 2, 2), seed=0)


def test_empty_population_is_refused():
    with pytest.raises(ValueError, match="the population is empty"):
        Population(torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64), ("none",))


@pytest.mark.parametrize("game", [games.ipd(), games.rock_paper_scissors()], ids=["ipd", "rps"])
def test_out_of_distribution_test_personas_are_hardly_seen_in_training(game):
    """Each kind's test range overlaps a third of the training's, from one side."""
    populations = personas_for(game, ranges="out-of-distribution")
    policy = TabularPolicy(game.num_states, game.action_counts[0])
    probabilities = {
        split: torch.softmax(policy.table(population.parameters), -1) for split, population in populations.items()
    }
    favoured = {
        split: probabilities[split][population.groups == 0][..., 0] for split, population in populations.items()
    }
    assert favoured["test"].min() >= 0.75 - 1e-3
    assert favoured["train"].max() <= 0.85 + 1e-3
    assert favoured["validation"].max() <= 0.85 + 1e-3
    assert (favoured["train"] > 0.75).float().mean() < 1 / 3


def test_unknown_ranges_name_the_nearest():
    with pytest.raises(ValueError, match=r"unknown ranges 'in-distributon' .did you mean 'in-distribution'"):
        personas_for(games.ipd(), ranges="in-distributon")
