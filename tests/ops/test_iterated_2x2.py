import pytest
import torch
from checks import DEVICES, DTYPES, assert_close, check_registration, check_thread_counts, on, strided

from mamrl.games import differentiable as games
from mamrl.ops.iterated_2x2 import iterated_2x2

OP = torch.ops.mamrl.iterated_2x2.default
GAMES = {
    "ipd": games.iterated_prisoners_dilemma(),
    "imp": games.iterated_matching_pennies(0.5),
    "chicken": games.chicken(),
    "neither symmetric nor zero-sum": games.Iterated2x2((1, -2, 3, 0.5), (0.25, 4, -1, 2), 0.9),
}


def example(batch=37, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [3 * torch.randn(batch, 5, generator=generator, dtype=dtype) for _ in range(2)]


@DEVICES
@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 15, 16, 37])
def test_kernel_equals_the_torch_code_and_its_autograd(device, name, dtype, batch):
    game = GAMES[name]
    x = [p.requires_grad_() for p in on(device, *example(batch, dtype))]
    payoffs = torch.tensor(game.payoffs, dtype=dtype, device=device)
    values, slopes = iterated_2x2(*x, payoffs, game.discount)
    expected = game.values(x)
    assert_close(values, expected.detach(), scale=100 if name == "chicken" else 1)
    for player in range(2):
        jacobian = torch.autograd.grad(expected[player].sum(), x, retain_graph=True)
        assert_close(slopes[player], torch.stack(jacobian), scale=100 if name == "chicken" else 1)


def test_saturated_policies_have_finite_values_and_no_slope():
    x = [torch.full((3, 5), 200.0), torch.full((3, 5), -200.0)]
    values, slopes = iterated_2x2(*x, torch.tensor(GAMES["ipd"].payoffs), 0.96)
    assert_close(values, torch.tensor([[-3.0], [0.0]]).expand(2, 3))
    assert bool((slopes.abs() < 1e-6).all())


def test_op_is_registered_for_tracing():
    check_registration(OP, *example(), torch.tensor(GAMES["ipd"].payoffs, dtype=torch.float64), 0.96)


def test_threads_and_memory_layout_do_not_change_a_bit():
    x, payoffs = example(5000), torch.tensor(GAMES["ipd"].payoffs, dtype=torch.float64)
    check_thread_counts(lambda: OP(*x, payoffs, 0.96))
    for a, b in zip(OP(*x, payoffs, 0.96), OP(strided(x[0]), strided(x[1]), payoffs, 0.96), strict=True):
        assert torch.equal(a, b)


def test_wrong_input_is_refused_in_a_sentence():
    x, payoffs = example(4), torch.zeros(2, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"logits_2 must have the shape \(4, 5\)"):
        iterated_2x2(x[0], x[1][:3], payoffs, 0.9)
    with pytest.raises(ValueError, match="payoffs must be float32 or float64 like logits_1"):
        iterated_2x2(*x, payoffs.float(), 0.9)
    with pytest.raises(ValueError, match="discount must be in"):
        iterated_2x2(*x, payoffs, 1.0)
    with pytest.raises(RuntimeError, match="payoffs has shape"):
        OP(*x, payoffs[:1], 0.9)
