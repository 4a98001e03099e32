"""Meta-values: parameter counts, the exact cost saving, targets, training's bookkeeping."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mamrl.games import differentiable as games
from mamrl.ops.reference import pair_network as pair_layers
from mamrl.shaping.cola import ConsistencySettings, cola, consistency_error
from mamrl.shaping.meva import (
    ITERATED_SETTINGS,
    MetaValueSettings,
    _stride_loss,
    draw_discounts,
    follow,
    lambda_targets,
    meva,
)
from mamrl.shaping.naive import naive
from mamrl.shaping.networks import PairNetwork, iterated_2x2_network, logistic_game_network
from mamrl.shaping.training import DivergenceError, train

SHORT = MetaValueSettings(loops=4, steps=3, batch=8)
SHORT_ITERATED = replace(ITERATED_SETTINGS, loops=3, strides=2, explore_steps=2, steps=3, batch=8)


def count(network: PairNetwork) -> int:
    return sum(p.numel() for p in network.parameters())


def pairs(size: int, batch: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, batch, size, generator=generator), torch.rand(2, batch, generator=generator)


def test_networks_have_the_published_numbers_of_parameters():
    assert count(logistic_game_network(16)) == 34_576
    assert count(logistic_game_network(1)) == 33_601
    assert count(iterated_2x2_network(32)) == 237_600
    assert count(iterated_2x2_network(32, symmetric=False)) == 237_600 + 2 * 128 * 128


def test_initial_weights_are_lecun_normal():
    for layer in iterated_2x2_network(seed=4).split()[1:-1]:
        rows, inputs = layer["weight"].shape
        if inputs == 1:
            continue
        scaled = layer["weight"].detach() * inputs**0.5
        # four deviations of the estimate over rows x inputs draws
        assert float(scaled.std()) == pytest.approx(1.0, abs=4 / (2 * rows * inputs) ** 0.5)
        assert float(scaled.abs().max()) <= 2 / 0.8796 + 1e-5
        assert not bool(layer["bias"].any())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("build", "size"), [(logistic_game_network, 1), (iterated_2x2_network, 5)])
def test_one_backward_pass_gives_both_players_gradients_exactly(build, size: int, symmetric: bool):
    network = build(seed=3, symmetric=symmetric)
    x, gamma = pairs(size)
    fast, outputs = network.own_gradient(x, gamma)
    torch.testing.assert_close(outputs, network(x, gamma))
    leaf = x.clone().requires_grad_()
    values = network(leaf, gamma).mean(-1)
    for player in range(2):
        (gradient,) = torch.autograd.grad(values[player].sum(), leaf, retain_graph=True)
        torch.testing.assert_close(fast[player], gradient[player], rtol=1e-4, atol=1e-7)
        assert float(gradient[1 - player].abs().max()) > 0


def test_exploration_flips_the_signs_of_the_last_units():
    network = iterated_2x2_network(seed=1)
    x, gamma = pairs(5)
    signs = 1 - 2 * (torch.rand(2, 7, 128, generator=torch.Generator().manual_seed(2)) < 1 / 16).float()
    leaf = x.clone().requires_grad_()
    values = pair_layers.pair_network(network.weights, network.fields, leaf.sigmoid(), gamma, signs).mean(-1)
    for player in range(2):
        (gradient,) = torch.autograd.grad(values[player].sum(), leaf, retain_graph=True)
        explored = network.own_gradient(x, gamma, signs)[0][player]
        torch.testing.assert_close(explored, gradient[player], rtol=1e-4, atol=1e-7)


def test_shared_weights_treat_the_players_of_a_symmetric_game_alike_and_roles_tell_them_apart():
    x, gamma = pairs(5)
    shared = iterated_2x2_network(seed=0)
    torch.testing.assert_close(shared(x.flip(0), gamma.flip(0)), shared(x, gamma).flip(0), rtol=1e-4, atol=1e-6)
    roles = iterated_2x2_network(seed=0, symmetric=False)
    with torch.no_grad():
        (role,) = (layer["weight"] for layer in roles.split() if layer["weight"].dim() == 3)
        role[1] += 0.1
    difference = roles(x.flip(0), gamma.flip(0)) - roles(x, gamma).flip(0)
    assert float(difference.detach().abs().max()) > 1e-3


@pytest.mark.parametrize("trace", [0.0, 0.9, 1.0])
def test_lambda_targets_mix_the_n_step_returns(trace: float):
    generator = torch.Generator().manual_seed(0)
    rewards = torch.randn(4, 2, 3, generator=generator, dtype=torch.float64)
    following = torch.randn(4, 2, 3, 5, generator=generator, dtype=torch.float64)
    gamma = torch.rand(2, 3, generator=generator, dtype=torch.float64)
    targets = lambda_targets(rewards, following, gamma, trace)
    for t in range(4):
        n_steps = []
        for n in range(1, 4 - t + 1):
            earned = sum((1 - gamma) * gamma**k * rewards[t + k] for k in range(n))
            n_steps.append(earned.unsqueeze(-1) + (gamma**n).unsqueeze(-1) * following[t + n - 1])
        mixture = (
            sum((1 - trace) * trace**k * g for k, g in enumerate(n_steps[:-1]))
            + trace ** (len(n_steps) - 1) * n_steps[-1]
        )
        torch.testing.assert_close(targets[t], mixture, rtol=1e-12, atol=1e-12)


def test_discounts_are_arcsine_distributed():
    drawn = draw_discounts(50_000, torch.Generator().manual_seed(0)).flatten()
    for at in (0.1, 0.5, 0.9):
        assert float((drawn < at).float().mean()) == pytest.approx(2 / math.pi * math.asin(math.sqrt(at)), abs=5e-3)


def test_a_player_without_foresight_learns_naively_in_the_u_form():
    network, game = iterated_2x2_network(seed=0), games.iterated_prisoners_dilemma()
    x, _ = pairs(5)
    shaper, learner = meva(game, x, 2.0, network=network, formulation="U", gamma=(0.9, 0.0))
    plain = naive(game, (x[0], x[1]), 2.0)
    torch.testing.assert_close(learner, plain[1])
    assert float((shaper - plain[0]).abs().max()) > 1e-4


def test_a_constant_game_has_its_constant_as_meta_value():
    """With f = c everywhere the normalised Bellman equation gives V = U = c at every discount."""
    game = games.Iterated2x2((0.7, 0.7, 0.7, 0.7), (0.7, 0.7, 0.7, 0.7))
    settings = replace(ITERATED_SETTINGS, loops=60, strides=1, explore_steps=1, steps=1, batch=32, learning_rate=3e-3)
    network = iterated_2x2_network(8, seed=0)
    losses = train(game, network, settings, seed=0)
    assert losses[-1] < 0.2 * losses[0]
    x, gamma = pairs(5, batch=64)
    with torch.no_grad():
        values = network(x, 0.9 * gamma).mean(-1)
    assert float((values - 0.7).abs().mean()) < 0.2


@pytest.mark.parametrize(
    ("game", "build", "settings"),
    [
        (games.LogisticGame(), logistic_game_network, SHORT),
        (games.iterated_matching_pennies(), lambda **k: iterated_2x2_network(symmetric=False, **k), SHORT_ITERATED),
    ],
    ids=["V", "U"],
)
def test_a_resumed_training_equals_the_unbroken_one(game, build, settings, tmp_path: Path):
    whole, broken, resumed = (build(seed=5) for _ in range(3))
    expected = train(game, whole, settings, seed=7)
    path = tmp_path / "meva.pt"
    train(game, broken, settings, seed=7, checkpoint=path, until=2)
    losses = train(game, resumed, settings, seed=7, checkpoint=path, resume=True)
    assert losses == expected
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_diverging_training_stops_with_the_loop_and_the_last_good_checkpoint(tmp_path: Path):
    path = tmp_path / "meva.pt"
    network = logistic_game_network()
    train(games.LogisticGame(), network, SHORT, checkpoint=path, until=2)
    wild = replace(SHORT, policy_scale=1e30)
    with pytest.raises(DivergenceError, match=r"loop \d of 4 .*last good checkpoint is .*meva.pt after 2 loops"):
        train(games.LogisticGame(), network, wild, checkpoint=path, resume=True, until=4)
    restored = logistic_game_network()
    train(games.LogisticGame(), restored, SHORT, checkpoint=path, resume=True, until=2)
    assert all(bool(torch.isfinite(p).all()) for p in restored.parameters())


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "meva.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"meva\.pt is damaged or no checkpoint"):
        train(games.LogisticGame(), logistic_game_network(), SHORT, checkpoint=path, resume=True)


def test_games_and_settings_that_do_not_fit_are_refused():
    three = games.TabularGame(torch.zeros(3, 2, 2, 2))
    tables = [torch.zeros(4, size) for size in three.sizes]
    sentence = "needs two players with policies of 1 parameters, but TabularGame has"
    with pytest.raises(ValueError, match=sentence):
        train(three, logistic_game_network(), SHORT)
    with pytest.raises(ValueError, match=sentence):
        meva(three, tables, 1.0, network=logistic_game_network(), formulation="V")
    with pytest.raises(ValueError, match=sentence):
        cola(three, tables, 1.0, network=logistic_game_network(1))
    with pytest.raises(ValueError, match="policies of 5 parameters, but LogisticGame"):
        train(games.LogisticGame(), iterated_2x2_network(), SHORT_ITERATED)
    with pytest.raises(ValueError, match="as many outputs as a policy has parameters, 1, but this one has 16"):
        train(games.LogisticGame(), logistic_game_network(), ConsistencySettings())
    with pytest.raises(ValueError, match="formulation must be"):
        MetaValueSettings(formulation="W")
    with pytest.raises(ValueError, match="gamma must be in"):
        meva(games.LogisticGame(), pairs(1)[0], 1.0, network=logistic_game_network(), formulation="V", gamma=1.0)


def test_the_consistency_error_is_the_implicit_equations():
    """A network of constant output c: the error is c - (df_i/dx_i)(x_i, x_j + a_i c)."""
    game = games.LogisticGame()
    network = logistic_game_network(1).double()
    with torch.no_grad():
        head = network.split()[-1]
        head["weight"].zero_()
        head["bias"].fill_(0.3)
    x, a = (t.double() for t in pairs(1))
    error = consistency_error(network, game, x, a)
    _, (first, _) = game.values_and_gradients((x[0], x[1] + 0.3 * a[0, :, None]))
    _, (_, second) = game.values_and_gradients((x[0] + 0.3 * a[1, :, None], x[1]))
    torch.testing.assert_close(error, 0.3 - torch.stack([first, second]), rtol=1e-9, atol=1e-12)


def test_the_consistency_error_passes_through_the_other_players_model():
    game = games.LogisticGame()
    network = logistic_game_network(1).double()
    x, a = (t.double() for t in pairs(1, batch=3))
    error = consistency_error(network, game, x, a).detach()
    tiny = 1e-6

    def surrogate(x_1: torch.Tensor) -> torch.Tensor:
        model = network(torch.stack([x_1, x[1]]), a)
        return game.values((x_1, x[1] + a[0, :, None] * model[1]))[0].detach()

    slope = (surrogate(x[0] + tiny) - surrogate(x[0] - tiny)) / (2 * tiny)
    expected = network(x, a)[0, :, 0].detach() - slope
    torch.testing.assert_close(error[0, :, 0], expected, rtol=1e-6, atol=1e-8)


def test_cola_learns_the_naive_gradient_where_it_extrapolates_by_nothing():
    game = games.LogisticGame()
    network = logistic_game_network(1)
    settings = ConsistencySettings(loops=300, batch=64, most_extrapolation=1e-6, policy_scale=3.0)
    losses = train(game, network, settings)
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])
    x = [torch.linspace(-2, 2, 9).unsqueeze(-1), torch.linspace(1, -1, 9).unsqueeze(-1)]
    found = torch.stack(cola(game, x, 1.0, network=network, extrapolation=0.0))
    torch.testing.assert_close(found, torch.stack(naive(game, x, 1.0)), rtol=0, atol=0.25)


def test_v_follows_the_meta_values_gradient_alone():
    network, game = logistic_game_network(seed=0), games.LogisticGame()
    x, gamma = pairs(1)
    direction, outputs, values = follow(network, game, "V", x, gamma)
    assert values is None
    for found, expected in zip((direction, outputs), network.own_gradient(x, gamma), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("game", "build", "settings"),
    [
        (games.LogisticGame(), logistic_game_network, SHORT),
        (games.iterated_prisoners_dilemma(), iterated_2x2_network, SHORT_ITERATED),
    ],
)
def test_a_stride_stays_on_its_device_and_never_waits_for_it(game, build, settings):
    # tensors on "meta" have no numbers: mixed with one on the CPU, or asked for a number, they raise
    network = build().to("meta")
    target = None if settings.target_decay is None else build().to("meta").requires_grad_(False)
    x, gamma = (each.to("meta") for each in pairs(network.policy_size))
    loss = _stride_loss(network, target, game, settings, x, gamma)
    loss.backward()
    assert loss.device.type == network.weights.grad.device.type == "meta"
