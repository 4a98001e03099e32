"""A trained agent is asked what it does, adapts to a persona, and is exported."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import mamrl
from mamrl.evaluation.agent import Agent
from mamrl.games import ipd
from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.policies.module import ModulePolicy

STATES = ["start", "CC", "CD", "DC", "DD"]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory, self.head = nn.GRU(5, 4), nn.Linear(4, 2)

    def forward(self, states, state=None):
        hidden, state = self.memory(nn.functional.one_hot(states, 5).float(), state)
        return self.head(hidden), state


def agents():
    torch.manual_seed(0)
    policies = {"table": TabularPolicy(5, 2), "lstm": LSTMPolicy(5, 2, 4), "module": ModulePolicy(Recurrent(), 5, 2)}
    return {
        name: Agent(
            ipd(), policy, policy.initial(torch.Generator().manual_seed(1)) + torch.randn(policy.num_parameters)
        )
        for name, policy in policies.items()
    }


@pytest.mark.parametrize("name", agents())
def test_probabilities_are_the_policys_at_the_end_of_a_history(name):
    agent, history = agents()[name], torch.randint(5, (6, 3))
    expected = agent.policy.logits(agent.parameters[None], history[:, None])[-1, 0].softmax(-1)
    torch.testing.assert_close(agent.probabilities(history), expected)
    torch.testing.assert_close(agent.probabilities([STATES[s] for s in history[:, 0]]), expected[0])


@pytest.mark.parametrize("name", agents())
def test_actions_are_drawn_with_these_probabilities_from_what_is_remembered(name):
    agent, history, state = agents()[name], [0, 2, 4], None
    generator = torch.Generator().manual_seed(0)
    for seen in history:
        actions, state = agent.act(torch.full((50, 100), seen), state, generator)
    assert actions.shape == (50, 100)
    assert float(actions.float().mean()) == pytest.approx(float(agent.probabilities(history)[1]), abs=0.03)
    for one_game in (0, "start"):
        assert agent.act(one_game)[0].shape == ()


@pytest.fixture(scope="module", params=["ipd-exact", "ipd-tabular"])
def run(request):
    small = {"iterations": 2, "validation_every": 2, "chain_length": 2, "num_trajectories": 4, "horizon": 6}
    return mamrl.train(mamrl.preset(request.param).replace(**small), seed=0, progress=False)


def test_a_run_is_asked_before_and_after_it_adapted(run):
    assert torch.equal(run.probabilities(["start"]), run.agent.probabilities([0]))
    before, after = run.adapted(3, position=0), run.adapted(3)
    assert torch.equal(before.parameters, run.parameters)
    assert not torch.equal(after.parameters, run.parameters)
    persona = run.setting.populations["test"].parameters[3]
    assert torch.equal(run.adapted(3, position=0, player=1).parameters, persona)
    assert not torch.equal(run.adapted(3, player=1).parameters, persona)


def test_what_is_not_there_is_named(run):
    for arguments, told in (
        ((40,), "persona is 40"),
        ((0, "test", 3), "position is 3"),
        ((0, "test", 1, 0, 2), "player"),
    ):
        with pytest.raises(ValueError, match=told):
            run.adapted(*arguments)
    with pytest.raises(ValueError, match="'XX', expected names among start, CC"):
        run.probabilities(["XX"])
    with pytest.raises(ValueError, match="holds 5, expected at least 0 and below 5"):
        run.act([5])
    with pytest.raises(TypeError, match=r"observations is torch\.float32, expected integers"):
        run.act([0.5])
    with pytest.raises(ValueError, match="at least one time"):
        run.probabilities([])
    with pytest.raises(ValueError, match="of 3 games, expected the state's 2"):
        run.act([0, 0, 0], run.act([0, 0])[1])


READER = """
import sys, torch
assert "mamrl" not in sys.modules
program = torch.export.load(sys.argv[1]).module()
print(program(torch.tensor([0, 1, 2, 3, 4])).tolist())
assert "mamrl" not in sys.modules
"""


def test_an_exported_table_runs_without_the_library(tmp_path):
    agent = agents()["table"]
    agent.export(tmp_path / "agent.pt2")
    done = subprocess.run(
        [sys.executable, "-I", "-c", READER, tmp_path / "agent.pt2"], capture_output=True, text=True, check=True
    )
    expected = [agent.probabilities([state]).tolist() for state in range(5)]
    torch.testing.assert_close(torch.tensor(eval(done.stdout)), torch.tensor(expected))


def test_an_exported_lstm_and_module_give_the_agents_probabilities():
    history = torch.randint(5, (4, 7))
    agent = agents()["lstm"]
    program, memory = agent.export().module(), (torch.zeros(7, 4), torch.zeros(7, 4))
    for seen in history:
        probabilities, *memory = program(seen, *memory)
    torch.testing.assert_close(probabilities, agent.probabilities(history))
    agent = agents()["module"]
    before = agent.policy.initial(torch.Generator())
    logits, _ = agent.export().module()(history[:3])
    torch.testing.assert_close(logits[-1].softmax(-1), agent.probabilities(history[:3]))
    assert torch.equal(agent.policy.initial(torch.Generator()), before)
