"""The diagnosis of a meta-gradient agrees with gradients, cosines and Jacobians worked out by hand."""

from dataclasses import replace

import pytest
import torch

from mamrl.config import Experiment
from mamrl.config.setting import build
from mamrl.evaluation.diagnosis import Diagnosis, PersonaDiagnosis, diagnose
from mamrl.meta import meta_objective, unroll

SMALL = {
    "agent": "tabular",
    "critic": "linear",
    "num_trajectories": 16,
    "horizon": 20,
    "chain_length": 2,
    "own_lr": 0.3,
}
START = torch.tensor([0.3, 0.6, -0.8, 0.4, -0.2])
RATES = torch.full((2,), 0.3)


def chain_of(setting, samples, persona, round_number=0):
    """The chain that :func:`diagnose` samples for the persona that it looks at first."""
    own = START.expand(samples, -1).clone().requires_grad_()
    peer = persona.expand(samples, -1).clone()
    keys = setting.keys(4, "other", round_number, samples, 3)
    rates = RATES.expand(samples, -1)
    positions = unroll(setting.experiment, setting.game, setting.policies, [own, peer], rates, setting.sampler(keys))
    return own, peer, rates, positions


@pytest.fixture
def setting():
    return build(Experiment(**SMALL))


def first_persona(setting):
    """Populations of one persona a group leave nothing to the draw."""
    population = setting.populations["validation"]
    kept = torch.tensor([int((population.groups == g).nonzero()[0]) for g in range(2)])
    population = replace(population, parameters=population.parameters[kept], groups=torch.arange(2))
    return replace(setting, populations={**setting.populations, "validation": population}), population.parameters[0]


def test_norms_and_cosine_are_those_of_the_objectives_gradients(setting):
    setting, persona = first_persona(setting)
    result = diagnose(setting, START, RATES, samples=3, personas=1, seed=4).personas[0]
    own, peer, rates, positions = chain_of(setting, 3, persona)
    leaf = own.detach().clone().requires_grad_()
    trajectories = [position.trajectories for position in positions]
    parts = setting.game, setting.policies, [leaf, peer], rates, trajectories
    (gradients,) = torch.autograd.grad(meta_objective(setting.experiment, *parts).sum(), leaf)
    torch.testing.assert_close(result.norms, gradients.norm(dim=1), rtol=1e-4, atol=1e-5)
    pairs = [torch.cosine_similarity(gradients[i], gradients[j], dim=0) for i in range(3) for j in range(i)]
    assert result.cosine == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-4)
    assert sum(result.shares.values()) == pytest.approx(1.0, abs=0.2)


def test_growth_is_the_largest_singular_value_of_the_chains_jacobian(setting):
    setting, persona = first_persona(setting)
    result = diagnose(setting, START, RATES, samples=2, personas=1, seed=4).personas[0]
    own, _, _, positions = chain_of(setting, 2, persona)
    for position, found in zip(positions[1:], result.growth[1:], strict=True):
        joint = torch.cat(list(position.parameters), dim=1)
        rows = [torch.autograd.grad(joint[:, j].sum(), own, retain_graph=True)[0] for j in range(joint.shape[1])]
        exact = torch.linalg.matrix_norm(torch.stack(rows, dim=1), 2).median()
        # a few steps of power iteration come from below
        assert 0.9 * exact <= found <= 1.001 * exact


@pytest.mark.parametrize(
    ("algorithm", "none"), [("meta-mapg", ()), ("meta-pg", ("peers",)), ("meta-mapg-without-own", ("own",))]
)
def test_terms_that_an_algorithm_drops_have_no_share(setting, algorithm, none):
    setting = build(Experiment(**SMALL, algorithm=algorithm, estimator="published"))
    for persona in diagnose(setting, START, RATES, samples=2, personas=1).personas:
        for term, share in persona.shares.items():
            assert (share == 0) == (term in none)


def test_a_small_lstm_is_diagnosed_too():
    setting = build(
        Experiment(**{**SMALL, "agent": "lstm"}, hidden_size=4, inner_step="bounded", own_curvature="first-order")
    )
    start = setting.policies[0].initial(torch.Generator().manual_seed(0))
    result = diagnose(setting, start, RATES, samples=2, personas=1)
    assert len(result.personas) == 2
    assert all(torch.isfinite(p.growth).all() and torch.isfinite(p.norms).all() for p in result.personas)
    header, *rows = result.csv().splitlines()
    assert header == "persona,group,quantity,index,value"
    assert len(rows) == 2 * (2 + 3 + 2 + 1 + 3)


def test_noise_is_called_noise():
    fine = PersonaDiagnosis("a", torch.tensor([1.0, 2.0]), 0.8, torch.ones(3), {}, torch.ones(2))
    assert not fine.is_noise
    assert replace(fine, cosine=-0.02).is_noise
    assert replace(fine, cosine=float("nan")).is_noise
    assert replace(fine, norms=torch.tensor([1.0, 1.0, 1e6])).is_noise
    assert "agree" in Diagnosis([fine]).verdict()
    assert "1 of 2" in Diagnosis([fine, replace(fine, cosine=0.0)]).verdict()


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"agent": "tabular-exact"}, {}, "nothing to diagnose"),
        ({"algorithm": "lola-dice"}, {}, "no meta-gradient along the chain"),
        ({"algorithm": "reinforce"}, {}, "no meta-gradient along the chain"),
        ({}, {"samples": 1}, "samples is 1, expected at least 2"),
        ({}, {"personas": 0}, "personas is 0, expected at least 1"),
        ({}, {"split": "tests"}, "split 'tests'"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(fields, options, message):
    setting = build(Experiment(**{**SMALL, **fields}))
    with pytest.raises(ValueError, match=message):
        diagnose(setting, START, RATES, **options)
