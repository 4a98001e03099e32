"""A game and an algorithm that the package has never heard of train, are tested, drawn and cross-played."""

from __future__ import annotations

import pytest
import torch
from last_position import LastPosition
from pasture import Pasture

import mamrl
from mamrl.config.setting import Setting
from mamrl.evaluation.crossplay import best_response, cross_play, entrants_of
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import ALGORITHMS
from mamrl.plotting import plot_adaptation, plot_crossplay, plot_learning
from mamrl.policies import TabularPolicy
from mamrl.populations.personas import bernoulli_personas

POLICY = TabularPolicy(7, 2)
SMALL = {"iterations": 4, "validation_every": 2, "num_trajectories": 8, "horizon": 12, "chain_length": 2}


@pytest.fixture(autouse=True)
def registered():
    ALGORITHMS["last-position"] = LastPosition()
    yield
    del ALGORITHMS["last-position"]


def setting(algorithm: str = "last-position", **changes) -> Setting:
    populations = bernoulli_personas(POLICY, [(0.5, 1), (0, 0.5)], ["modest", "greedy"], (20, 6, 6), seed=0)
    experiment = mamrl.preset("ipd-tabular").replace(algorithm=algorithm, **SMALL | changes)
    return Setting(experiment, Pasture(), (POLICY, POLICY), populations, value_network=None)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    ALGORITHMS["last-position"] = LastPosition()
    return mamrl.train(setting(), seed=1, progress=False, tensorboard=False, out=tmp_path_factory.mktemp("own") / "run")


def test_they_train_and_are_tested(run):
    test = run.test(repeats=2)
    assert test.rewards.shape == (2, 3, 6)
    assert bool(test.rewards.isfinite().all())
    # counted by state and action, which the game names
    assert test.action_frequencies.sum() == 2 * 3 * 2 * 6 * 8 * 12
    assert "6 bales" in test.actions_csv(run.setting.game.state_names())


def test_training_moves_the_agent_by_the_algorithm_of_ones_own(run):
    other = mamrl.train(setting("meta-mapg"), seed=1, progress=False)
    assert not torch.equal(run.parameters, other.parameters)


def test_a_resumed_training_equals_the_unbroken_one(run, tmp_path):
    mamrl.train(setting(iterations=2), seed=1, progress=False, tensorboard=False, out=tmp_path / "half")
    again = mamrl.train(setting(), seed=1, progress=False, tensorboard=False, out=tmp_path / "half", resume=True)
    assert torch.equal(again.parameters, run.parameters)


def test_they_are_drawn_and_cross_played(run, tmp_path):
    plot_adaptation([(run, run.test(repeats=1))], tmp_path / "adaptation.png")
    plot_learning([run], tmp_path / "learning.png")
    game, entrants = entrants_of([run])
    # the classic strategies are for payoffs, all but the one that plays anything
    assert [entrant.name for entrant in entrants] == ["run", "random"]
    rewards = cross_play(game, entrants, num_trajectories=16, horizon=12)
    plot_crossplay([entrant.name for entrant in entrants], rewards, tmp_path / "crossplay.png")
    assert best_response(game, entrants[0], steps=2, num_trajectories=4, horizon=12).kept > 0
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_the_game_depends_on_its_keys_alone():
    def rewards(chains: int) -> torch.Tensor:
        rows = [torch.zeros(chains, 7), torch.zeros(chains, 7)]
        return play(Pasture(), [POLICY, POLICY], rows, random_keys(3, "other", 0, 0, chains), 5, 12).rewards

    assert torch.equal(rewards(1), rewards(4)[:, :, :1])


def test_what_needs_payoffs_says_so():
    exact = setting("meta-mapg", agent="tabular-exact")
    with pytest.raises(ValueError, match="pasture has no table of payoffs, and so no exact values"):
        mamrl.train(exact, progress=False)


@pytest.mark.parametrize("changes", [{"agent": "tabular-exact"}, {"opponent_model": True}])
def test_an_algorithm_of_ones_own_is_not_silently_replaced_by_its_terms(changes):
    with pytest.raises(ValueError, match="last-position"):
        setting(**changes)


def test_a_game_that_cannot_leave_the_cpu_says_so():
    with pytest.raises(ValueError, match="device is 'meta', expected 'cpu': Pasture is played there"):
        setting().to(torch.device("meta"))
