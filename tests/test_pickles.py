"""Policies, games, runs and settings can be copied, pickled, and sent to other processes, and go on as the original."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mamrl.config import Experiment
from mamrl.config.self_play import SelfPlayExperiment
from mamrl.config.setting import build
from mamrl.games import coin_game, ipd, matching_pennies, rock_paper_scissors
from mamrl.games.stepped import SteppedCoinGame, SteppedMatrixGame
from mamrl.games.trajectories import play, random_keys
from mamrl.policies.gru import GRUNetwork
from mamrl.policies.linear import LinearNetwork
from mamrl.policies.lstm import LSTMPolicy
from mamrl.policies.module import ModulePolicy
from mamrl.policies.tabular import TabularPolicy
from mamrl.training import train
from mamrl.training.self_play import train_self_play

TINY = Experiment(
    agent="tabular",
    critic="linear",
    num_trajectories=4,
    horizon=10,
    chain_length=2,
    chains=2,
    iterations=2,
    validation_every=2,
)
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


class Small(torch.nn.Module):
    """A policy of one's own."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Embedding(5, 2)

    def forward(self, states):
        return self.logits(states)


POLICIES = {
    "tabular": lambda: TabularPolicy(5, 2),
    "softmax": lambda: TabularPolicy(5, 2, parametrisation="softmax"),
    "lstm": lambda: LSTMPolicy(5, 2, 8),
    "module": lambda: ModulePolicy(Small(), 5, 2, memoryless=True),
}


def played(game, policies):
    parameters = [policy.initial(torch.Generator().manual_seed(1)).unsqueeze(0) for policy in policies]
    return play(game, policies, parameters, random_keys(0, "other", 0, 0, 1), 4, 6)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", POLICIES)
def test_a_copied_policy_plays_as_the_original(name, how):
    policy, game = POLICIES[name](), ipd()
    twin, other = COPIES[how](policy), COPIES[how](game)
    first, second = played(game, [policy, policy]), played(other, [twin, twin])
    assert torch.equal(first.rewards, second.rewards)
    assert torch.equal(first.states[0], second.states[0])


@pytest.mark.parametrize("how", COPIES)
def test_copied_games_are_equal_and_share_no_payoffs(how):
    for game in (ipd(), matching_pennies(), rock_paper_scissors(3)):
        twin = COPIES[how](game)
        assert torch.equal(twin.payoffs, game.payoffs)
        assert twin.name == game.name
        assert twin.payoffs.data_ptr() != game.payoffs.data_ptr()
    assert COPIES[how](coin_game.coin_game("mfos")) == coin_game.coin_game("mfos")


@pytest.mark.parametrize("how", COPIES)
def test_copied_stepped_games_and_their_networks_step_on(how):
    seeds, actions = torch.arange(3), torch.zeros(2, 3, dtype=torch.int64)
    for game in (SteppedCoinGame(coin_game.coin_game("loqa")), SteppedMatrixGame(ipd())):
        twin = COPIES[how](game)
        state, _ = game.start(seeds)
        other = COPIES[how](state)
        assert torch.equal(game.step(state, actions)[1], twin.step(other, actions)[1])
    for network in (GRUNetwork(5, 2, 4), LinearNetwork(5, 2)):
        assert COPIES[how](network) == network


@pytest.mark.parametrize("how", COPIES)
def test_a_copied_run_and_its_setting_test_as_the_original(how):
    run = train(TINY, seed=1, progress=False)
    twin = COPIES[how](run)
    assert torch.equal(run.test(repeats=1).rewards, twin.test(repeats=1).rewards)
    assert COPIES[how](run.setting).experiment == run.setting.experiment
    assert twin.parameters.data_ptr() != run.parameters.data_ptr()
    fields = {"batch": 8, "horizon": 4, "opponents": 4, "hidden_size": 4, "critic_size": 4, "updates": 1}
    own = train_self_play(SelfPlayExperiment(**fields), progress=False)
    assert own.test(16) == COPIES[how](own).test(16)


class Rollouts(Dataset):
    """Games of a policy, as a data set."""

    def __init__(self, policy):
        self.game, self.policy = ipd(), policy

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return played(self.game, [self.policy, self.policy]).rewards[0].mean() + index


def validate(setting, queue):
    queue.put(setting.populations["test"].parameters.sum().item())


def test_settings_go_to_spawned_processes_and_policies_to_loading_workers():
    setting, context = build(TINY), multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=validate, args=(setting, queue))
    process.start()
    assert queue.get(timeout=120) == pytest.approx(setting.populations["test"].parameters.sum().item())
    process.join()
    data = Rollouts(TabularPolicy(5, 2))
    loaded = torch.cat(list(DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context="spawn")))
    assert torch.equal(loaded, torch.stack([data[index] for index in range(4)]))
