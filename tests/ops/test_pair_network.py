import pytest
import torch
from checks import DTYPES, assert_close, check_compiled, check_registration, check_thread_counts, strided
from lstm_cases import simd_level, simd_levels

from mamrl.ops.pair_network import pair_network, pair_network_own_gradient
from mamrl.ops.reference import pair_network as pair_layers
from mamrl.ops.reference.pair_network import NO_ACTIVATION, TANH, PairLayer
from mamrl.shaping.networks import iterated_2x2_network, logistic_game_network

#: layers of units that fill no register, with everything that there is: norms, a gate, roles, a second input that is
#: the player's own and one that is the other's
ODD = [
    PairLayer(0, 3, norm=True),
    PairLayer(2, 19, beside=1),
    PairLayer(3, 19, activation=NO_ACTIVATION, skip=3),
    PairLayer(4, 18, activation=NO_ACTIVATION, roles=True),
    PairLayer(5, 17, beside=5, swapped=True, norm=True),
    PairLayer(6, 6, activation=TANH, norm=True),
    PairLayer(7, 4, activation=NO_ACTIVATION),
]
OPS = torch.ops.mamrl


def flat(layers):
    return [int(number) for layer in layers for number in layer]


def draw(fields, size, batch, dtype=torch.float64):
    """Weights, none of them at the value that a network starts from, policies and discounts."""
    generator = torch.Generator().manual_seed(0)
    pieces = [
        torch.randn(shape, generator=generator, dtype=dtype).flatten() / max(shape[1:], default=1) ** 0.5
        for _, shapes in pair_layers.pair_layers(fields, size)
        for shape in shapes.values()
    ]
    x = torch.randn(2, batch, size, generator=generator, dtype=dtype)
    return torch.cat(pieces), fields, x, torch.rand(2, batch, generator=generator, dtype=dtype)


NETWORKS = {
    "logistic game": (logistic_game_network().fields, 1),
    "iterated": (iterated_2x2_network().fields, 5),
    "iterated, roles": (iterated_2x2_network(symmetric=False).fields, 5),
    "odd": (flat(ODD), 2),
}


def all_derivatives(function, weights, fields, x, gamma):
    leaf = weights.clone().requires_grad_()
    outputs = function(leaf, fields, x, gamma)
    return outputs.detach(), torch.autograd.grad(outputs.sin().sum(), leaf)[0]


@pytest.mark.parametrize("level", simd_levels())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_kernel_equals_its_twin_at_every_simd_level(name, dtype, level):
    arguments = draw(*NETWORKS[name], 45, dtype)
    outputs, gradient = all_derivatives(pair_layers.pair_network, *arguments)
    signs = 1.0 - 2.0 * (torch.rand(2, 45, PairLayer(*arguments[1][-16:-8]).units) < 0.3).to(dtype)
    _, own = pair_layers.pair_network_own_gradient(*arguments, signs)
    with simd_level(level):
        found, found_gradient = all_derivatives(pair_network, *arguments)
        beside, found_own = pair_network_own_gradient(*arguments, signs)
    assert_close(found, outputs, scale=10)
    assert_close(beside, outputs, scale=10)
    # float32 sums 90 rows
    assert_close(found_gradient, gradient, scale=30)
    assert_close(found_own, own, scale=10)


@pytest.mark.parametrize("batch", [1, 32, 33, 600])
def test_any_number_of_pairs(batch):
    arguments = draw(*NETWORKS["odd"], batch)
    for found, expected in zip(
        all_derivatives(pair_network, *arguments), all_derivatives(pair_layers.pair_network, *arguments), strict=True
    ):
        assert_close(found, expected, scale=10)
    for found, expected in zip(
        pair_network_own_gradient(*arguments), pair_layers.pair_network_own_gradient(*arguments), strict=True
    ):
        assert_close(found, expected)


def test_no_pairs():
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 0)
    outputs, gradient = all_derivatives(pair_network, weights, fields, x, gamma)
    assert outputs.shape == (2, 0, 4)
    assert torch.equal(gradient, torch.zeros_like(weights))


def test_gradient_of_the_weights_is_that_of_finite_differences():
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 3)
    assert torch.autograd.gradcheck(lambda w: pair_network(w, fields, x, gamma), weights.requires_grad_())


def test_recorded_outputs_are_passed_on_with_the_same_derivative():
    weights, fields, x, gamma = draw(*NETWORKS["iterated"], 20)
    outputs, _ = pair_network_own_gradient(weights, fields, x, gamma)
    again = all_derivatives(lambda *a: pair_network(*a, outputs), weights, fields, x, gamma)
    for found, expected in zip(again, all_derivatives(pair_network, weights, fields, x, gamma), strict=True):
        assert torch.equal(found, expected)


def test_a_player_without_a_pair_leaves_no_trace():
    """The rows that fill a block up add nothing: two halves of a batch have the gradient of the whole."""
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 50)
    _, whole = all_derivatives(pair_network, weights, fields, x, gamma)
    halves = [all_derivatives(pair_network, weights, fields, x[:, a], gamma[:, a])[1] for a in (slice(7), slice(7, 50))]
    assert_close(halves[0] + halves[1], whole, scale=10)


def test_second_derivatives_and_those_of_the_inputs_are_refused():
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 3)
    weights.requires_grad_()
    (slope,) = torch.autograd.grad(pair_network(weights, fields, x, gamma).sum(), weights, create_graph=True)
    with pytest.raises(RuntimeError, match="one derivative"):
        torch.autograd.grad(slope.sum(), weights)
    with pytest.raises(ValueError, match="x requires grad, but the kernel differentiates in the weights only"):
        pair_network(weights, fields, x.requires_grad_(), gamma)


def test_ops_are_registered_for_tracing():
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 5)
    outputs = pair_network(weights, fields, x, gamma)
    check_registration(OPS.pair_network.default, weights.clone().requires_grad_(), fields, x, gamma)
    check_registration(OPS.pair_network_recorded.default, weights, fields, x, gamma, outputs)
    check_registration(OPS.pair_network_own_gradient.default, weights, fields, x, gamma, None)
    check_registration(OPS.pair_network_backward.default, outputs, weights, fields, x, gamma)
    check_compiled(lambda w: pair_network(w, fields, x, gamma), weights.requires_grad_())


def test_threads_and_memory_layout_do_not_change_a_bit():
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 700, torch.float32)
    grad = torch.randn(2, 700, 4)
    check_thread_counts(lambda: OPS.pair_network_own_gradient(weights, fields, x, gamma, None))
    check_thread_counts(lambda: OPS.pair_network_backward(grad, weights, fields, x, gamma))
    plain = OPS.pair_network_backward(grad, weights, fields, x, gamma)
    assert torch.equal(plain, OPS.pair_network_backward(strided(grad), weights, fields, strided(x), strided(gamma)))


def test_wrong_input_is_refused_in_a_sentence():
    weights, fields, x, gamma = draw(*NETWORKS["odd"], 3)
    with pytest.raises(ValueError, match=r"weights has shape .*, expected \(\d+\)"):
        pair_network(weights[1:], fields, x, gamma)
    with pytest.raises(ValueError, match=r"x has shape \(3, 2\), expected \(2, B, D\)"):
        pair_network(weights, fields, x[0], gamma)
    with pytest.raises(ValueError, match=r"gamma has shape \(2, 2\), expected \(2, 3\)"):
        pair_network(weights, fields, x, gamma[:, :2])
    with pytest.raises(TypeError, match=r"gamma is torch.float32, expected torch.float64 as weights"):
        pair_network(weights, fields, x, gamma.float())
    with pytest.raises(ValueError, match=r"signs has shape \(2, 3, 5\), expected \(2, 3, 6\)"):
        pair_network_own_gradient(weights, fields, x, gamma, torch.ones(2, 3, 5, dtype=x.dtype))
    with pytest.raises(ValueError, match="layers has 55 numbers, expected 8 for each"):
        pair_network(weights, fields[1:], x, gamma)
    for layer, sentence in (
        (PairLayer(9, 3), "names a signal"),
        (PairLayer(2, 3, activation=3), "names a signal or an activation that is not there"),
        (PairLayer(2, 5, skip=2), "skips from a signal of other units"),
        (PairLayer(2, 3, roles=True), "has roles and more than a linear map"),
    ):
        with pytest.raises(ValueError, match=sentence):
            pair_network(weights, flat([PairLayer(0, 3), layer]), x, gamma)
    blind = [PairLayer(1, 3), PairLayer(2, 4)]
    with pytest.raises(ValueError, match="do not depend on the player's own policy"):
        pair_network_own_gradient(*draw(flat(blind), 2, 3))
