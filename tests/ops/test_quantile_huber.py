import pytest
import torch
from checks import DEVICES, DTYPES, assert_close, check_registration, check_thread_counts

from mamrl.ops import reference
from mamrl.ops.quantile_huber import quantile_huber


def test_the_worked_example_of_four_quantiles():
    predicted, target = torch.tensor([0.0, 1, 2, 3]), torch.tensor([0.5, -0.5, 2.5, 4])
    assert quantile_huber(predicted, target).item() == pytest.approx(1.51171875, abs=1e-7)


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("quantiles", "targets"), [(1, 1), (4, 4), (16, 16), (32, 7)])
def test_loss_and_both_gradients_equal_the_references(device, dtype, quantiles, targets):
    generator = torch.Generator().manual_seed(1)
    pairs = [
        [2 * torch.randn(3, 5, q, generator=generator, dtype=dtype).to(device) for q in (quantiles, targets)],
    ]
    pairs.append([x.clone() for x in pairs[0]])
    results = []
    for (predicted, target), loss_of in zip(pairs, (quantile_huber, reference.quantile_huber), strict=True):
        loss = loss_of(predicted.requires_grad_(), target.requires_grad_())
        weights = torch.arange(15, dtype=dtype, device=device).reshape(3, 5)
        results.append([loss.detach(), *torch.autograd.grad((weights * loss).sum(), [predicted, target])])
    assert_close(results[0], results[1], scale=10)


def test_equal_quantiles_of_a_constant_target_lose_nothing():
    assert quantile_huber(torch.full((8,), 3.0), torch.full((5,), 3.0)).item() == 0.0


def test_wrong_shapes_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match="must agree but for the last axis"):
        quantile_huber(torch.zeros(3, 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="1 to 256 quantiles"):
        quantile_huber(torch.zeros(3, 4), torch.zeros(3, 257))


def test_op_is_registered_for_tracing_and_independent_of_threads():
    x, y = torch.randn(2000, 32), torch.randn(2000, 32)
    check_registration(torch.ops.mamrl.quantile_huber.default, x, y)
    check_thread_counts(lambda: torch.ops.mamrl.quantile_huber(x, y))
