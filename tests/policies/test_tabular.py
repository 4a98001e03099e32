"""Two ways to write a table of two actions: the same policies, which learn at different speeds."""

import pytest
import torch

from mamrl import games
from mamrl.config import Experiment
from mamrl.config.setting import build
from mamrl.evaluation.meta_test import adapt_to_population
from mamrl.games.trajectories import play, random_keys
from mamrl.meta import Chain, unroll
from mamrl.policies import TabularPolicy
from mamrl.populations.personas import personas_for

GAME = games.ipd().to(torch.float64)
ONE, TWO = TabularPolicy(5, 2), TabularPolicy(5, 2, parametrisation="softmax")
PROBABILITIES = torch.tensor([0.6, 0.2, 0.7, 0.5, 0.4], dtype=torch.float64)
TABLE = torch.stack([PROBABILITIES, 1 - PROBABILITIES], dim=-1)[None]


def test_both_are_the_same_distributions():
    states, actions = torch.randint(5, (4, 1, 6)), torch.randint(2, (4, 1, 6))
    first, second = ONE.parameters_of(TABLE), TWO.parameters_of(TABLE)
    assert (first.shape, second.shape) == ((1, 5), (1, 10))
    torch.testing.assert_close(torch.softmax(TWO.table(second), -1), TABLE)
    torch.testing.assert_close(ONE.log_probs(first, states, actions), TWO.log_probs(second, states, actions))


def test_a_softmax_of_two_logits_learns_twice_as_fast_as_one_logit():
    chain = Chain(num_trajectories=8, horizon=20, chain_length=2)
    own = torch.zeros(1, 5, dtype=torch.float64)
    rates = torch.full((1, 2), 0.5, dtype=torch.float64)

    def tables(peer, peer_lr):
        def sampler(position, rows):
            return play(GAME, [ONE, peer], rows, random_keys(1, "other", 0, position, 1), 8, 20)

        rows = [own, peer.parameters_of(TABLE)]
        rule = Chain(**{**chain.__dict__, "peer_lr": peer_lr})
        positions = unroll(rule, GAME, [ONE, peer], rows, rates, sampler)
        return torch.softmax(peer.table(positions[-1].parameters[1]), -1)

    assert not torch.allclose(tables(TWO, 1.0), tables(ONE, 1.0), atol=1e-3)
    torch.testing.assert_close(tables(TWO, 1.0), tables(ONE, 2.0))


def test_populations_of_both_are_the_same_personas():
    one, two = personas_for(games.ipd())["test"], personas_for(games.ipd(), parametrisation="softmax")["test"]
    torch.testing.assert_close(
        torch.softmax(ONE.table(one.parameters), -1), torch.softmax(TWO.table(two.parameters), -1)
    )


def test_an_experiment_says_what_its_peers_learn_in():
    small = {"agent": "tabular", "num_trajectories": 4, "horizon": 10, "chain_length": 2, "own_lr": 0.5}
    results = {}
    for name, peer_policy, peer_lr in (("published", "softmax", 1.0), ("slow", "logit", 1.0), ("same", "logit", 2.0)):
        setting = build(Experiment(critic="linear", peer_policy=peer_policy, peer_lr=peer_lr, **small))
        results[name] = adapt_to_population(setting, torch.zeros(5), torch.full((2,), 0.5), seed=3).rewards
    torch.testing.assert_close(results["published"], results["same"])
    assert not torch.equal(results["published"], results["slow"])


def test_another_parametrisation_is_refused():
    for call in (lambda: TabularPolicy(5, 2, parametrisation="two"), lambda: Experiment(peer_policy="two")):
        with pytest.raises(ValueError, match=r"'two'.*expected one of"):
            call()
