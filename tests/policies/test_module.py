"""Torch modules as policies: with a state, with attention, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import mamrl
from mamrl.config.setting import Setting
from mamrl.games import ipd
from mamrl.games.trajectories import play, random_keys
from mamrl.policies import LSTMPolicy, TabularPolicy
from mamrl.policies.module import ModulePolicy
from mamrl.policies.recurrence import RecurrentCell, with_recurrences
from mamrl.populations.personas import bernoulli_personas

SMALL = {"iterations": 2, "validation_every": 2, "num_trajectories": 4, "horizon": 6, "chain_length": 2, "chains": 2}


class Recurrent(nn.Module):
    """torch's own convention: (inputs, state or None) -> (outputs, state)."""

    steps = 0

    def __init__(self, layer=nn.GRU, **options):
        super().__init__()
        self.memory = layer(5, 6, **options)
        self.head = nn.Linear(6, 2)

    def forward(self, states, state=None):
        Recurrent.steps += len(states)
        seen = nn.functional.one_hot(states, 5).to(self.head.weight.dtype)
        hidden, state = self.memory(seen, state)
        return self.head(hidden), state


class Transformer(nn.Module):
    """One of torch's own layers with a causal mask."""

    def __init__(self, causal=True, **options):
        super().__init__()
        self.embedding = nn.Embedding(5, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, **options)
        self.head = nn.Linear(8, 2)
        self.causal, self.batch_first = causal, options.get("batch_first", False)

    def forward(self, states):
        mask = nn.Transformer.generate_square_subsequent_mask(len(states)) if self.causal else None
        seen = self.embedding(states.mT if self.batch_first else states)
        logits = self.head(self.layer(seen, src_mask=mask, is_causal=self.causal))
        return logits.transpose(0, 1) if self.batch_first else logits


def modules():
    torch.manual_seed(0)
    return {
        "lstm": Recurrent(nn.LSTM),
        "two layers": Recurrent(nn.LSTM, num_layers=2),
        "gru": Recurrent(),
        "rnn": Recurrent(nn.RNN),
        "transformer": Transformer(dropout=0.0),
        "transformer without dropout": Transformer(dropout=0.1).eval(),
        # what torch has a kernel of inference for
        "transformer, games first": Transformer(dropout=0.1, batch_first=True).eval(),
    }


def trained(module, **changes):
    own = ModulePolicy(module, 5, 2)
    experiment = mamrl.preset("ipd-tabular").replace(**SMALL | changes)
    table = TabularPolicy(5, 2)
    populations = bernoulli_personas(table, [(0.5, 1), (0, 0.5)], ["kind", "unkind"], (8, 4, 4), seed=0)
    setting = Setting(experiment, ipd(), (own, table), populations, None)
    return own, mamrl.train(setting, seed=0, progress=False)


@pytest.mark.parametrize("name", modules())
def test_a_module_trains_and_what_was_learned_goes_back_into_it(name):
    module = modules()[name]
    before = [parameter.detach().clone() for parameter in module.parameters()]
    own, run = trained(module)
    assert bool(run.parameters.isfinite().all())
    assert not torch.equal(own.initial(torch.Generator()), run.parameters)
    assert all(map(torch.equal, before, module.parameters()))
    assert own.load(run.parameters) is module
    assert torch.equal(own.initial(torch.Generator()), run.parameters)
    states = torch.randint(5, (6, 3))
    given = module(states)
    logits = given[0] if isinstance(given, tuple) else given
    torch.testing.assert_close(own.logits(run.parameters[None], states[:, None])[:, 0], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", [Recurrent(nn.LSTM), Recurrent(), Recurrent(nn.RNN), Transformer(dropout=0.0)])
def test_second_derivatives_are_those_of_the_function(module):
    policy = ModulePolicy(module, 5, 2)
    rows = (0.5 * torch.randn(1, policy.num_parameters, generator=torch.Generator().manual_seed(1))).double()
    states, actions = torch.randint(5, (3, 1, 2)), torch.randint(2, (3, 1, 2))

    def slope(shift):
        start = rows.clone().requires_grad_()
        value = policy.log_probs(start + shift * direction, states, actions).square().sum()
        return torch.autograd.grad(value, start, create_graph=True)[0]

    direction = torch.randn(rows.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    at = torch.zeros((), dtype=torch.float64, requires_grad=True)
    weights = torch.randn(rows.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    (curvature,) = torch.autograd.grad((slope(at) * weights).sum(), at)
    ahead, behind = ((slope(torch.tensor(h)) * weights).sum().item() for h in (1e-5, -1e-5))
    assert float(curvature) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("horizon", [10, 40])
def test_a_rollout_runs_a_module_with_a_state_once_a_time(horizon):
    policy = ModulePolicy(Recurrent(), 5, 2)
    rows = [policy.initial(torch.Generator()).expand(2, -1), torch.randn(2, 5)]
    Recurrent.steps = 0
    play(ipd(), [policy, TabularPolicy(5, 2)], rows, random_keys(0, "other", 0, 0, 2), 3, horizon)
    assert Recurrent.steps == horizon


@pytest.mark.parametrize("name", modules())
def test_a_rollout_draws_from_what_gradients_are_taken_of(name):
    policy = ModulePolicy(modules()[name], 5, 2)
    rows = policy.initial(torch.Generator()).expand(2, -1) * 2
    states, memory = torch.randint(5, (7, 2, 3)), None
    for seen, expected in zip(states, policy.logits(rows, states), strict=True):
        logits, memory = policy.step(rows, seen, memory)
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_steps_of_the_librarys_lstm_are_its_sequence():
    policy, generator = LSTMPolicy(5, 2, 7), torch.Generator().manual_seed(0)
    rows = torch.stack([policy.initial(generator) for _ in range(2)])
    states, memory = torch.randint(5, (6, 2, 3)), None
    for seen, expected in zip(states, policy.logits(rows, states), strict=True):
        logits, memory = policy.step(rows, seen, memory)
        torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(3, 4, num_layers=2, proj_size=2),
        nn.LSTM(3, 4, bias=False),
        nn.GRU(3, 4, num_layers=3, batch_first=True),
        nn.RNN(3, 4, nonlinearity="relu"),
        nn.RNN(3, 4, num_layers=2),
    ],
    ids=str,
)
def test_recurrences_compute_what_torchs_layers_compute(layer):
    ours = with_recurrences(nn.Sequential(layer))[0]
    inputs = torch.randn(5, 2, 3)
    state = layer(inputs)[1]
    for start in (None, state):
        for actual, expected in zip(ours(inputs, start), layer(inputs, start), strict=True):
            torch.testing.assert_close(actual, expected)
    alone = inputs[:, 0]
    torch.testing.assert_close(ours(alone)[0], layer(alone)[0])


@pytest.mark.parametrize("cell", [nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4, nonlinearity="relu")], ids=str)
def test_cells_compute_what_torchs_cells_compute(cell):
    ours, inputs = with_recurrences(nn.Sequential(cell))[0], torch.randn(2, 3)
    assert type(ours) is RecurrentCell
    state = cell(inputs)
    for start in (None, state):
        torch.testing.assert_close(ours(inputs, start), cell(inputs, start))


def test_parameters_that_require_no_gradient_stay_as_they_are():
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    own, run = trained(module)
    assert own.num_parameters == len(run.parameters) == 8
    own.load(run.parameters + 1)
    assert torch.equal(module[0].weight, before)
    torch.testing.assert_close(module[1].bias, run.parameters[-2:] + 1)
    with pytest.raises(TypeError, match="no parameters that require a gradient"):
        ModulePolicy(module.requires_grad_(False), 5, 2)


def refused(make):
    with pytest.raises(ValueError) as caught:
        ModulePolicy(make(), 5, 2)
    return str(caught.value)


def test_what_is_no_function_of_parameters_and_states_is_refused():
    table = nn.Embedding(5, 2)
    assert "dropout in Dropout '1'" in refused(lambda: nn.Sequential(table, nn.Dropout(0.5)))
    assert "dropout in MultiheadAttention 'layer.self_attn'" in refused(Transformer)
    assert "dropout in LSTM 'memory'" in refused(lambda: Recurrent(nn.LSTM, num_layers=2, dropout=0.2))
    assert "batch's statistics in BatchNorm1d '1'" in refused(lambda: nn.Sequential(table, nn.BatchNorm1d(2)))

    class Noise(nn.Embedding):
        def forward(self, states):
            return nn.functional.dropout(super().forward(states))

    assert "draws random numbers" in refused(lambda: Noise(5, 2))


def test_what_sees_the_future_or_says_something_else_of_its_memory_is_refused():
    assert "causal mask" in refused(lambda: Transformer(causal=False, dropout=0.0))
    assert "bidirectional" in refused(lambda: Recurrent(bidirectional=True))
    assert "no batch_first" in refused(lambda: Recurrent(batch_first=True))
    with pytest.raises(ValueError, match="depend on the states so far alone"):
        ModulePolicy(Transformer(dropout=0.0), 5, 2, memoryless=True)

    class Forgetful(Recurrent):
        def forward(self, states, state=None):
            return super().forward(states, None)

    assert "its state carries" in refused(Forgetful)


def test_a_state_that_is_no_tensor_and_weights_of_another_module_are_refused():
    class Counting(nn.Embedding):
        def forward(self, states, state=0):
            return super().forward(states), state + 1

    with pytest.raises(TypeError, match="state is made of tensors"):
        ModulePolicy(Counting(5, 2), 5, 2)
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(10,\)"):
        ModulePolicy(nn.Embedding(5, 2), 5, 2).load(torch.zeros(3))
