"""What happens to a batch's meta-gradients: PCGrad and clipping."""

from __future__ import annotations

import pytest
import torch

from mamrl.meta.gradients import clip_by_norm, clip_rows_by_norm, drop_overflowing, project_conflicting


def generator():
    return torch.Generator().manual_seed(0)


def test_pcgrad_leaves_agreeing_gradients_alone():
    gradients = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.5, 2.0]])
    torch.testing.assert_close(project_conflicting(gradients, generator()), gradients.mean(0))


def test_pcgrad_of_two_conflicting_gradients_is_each_without_the_other():
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    expected = 0.5 * ((first - (first @ second) / (second @ second) * second) + (second - (second @ first) * first))
    torch.testing.assert_close(project_conflicting(torch.stack([first, second]), generator()), expected)


def test_pcgrad_in_the_span_equals_the_algorithm_written_out():
    gradients = torch.randn(5, 20, generator=generator(), dtype=torch.float64)
    order = generator()
    projected = []
    for i in range(5):
        g = gradients[i].clone()
        for j in torch.randperm(5, generator=order).tolist():
            if j != i and g @ gradients[j] < 0:
                g = g - (g @ gradients[j]) / (gradients[j] @ gradients[j]) * gradients[j]
        projected.append(g)
    torch.testing.assert_close(project_conflicting(gradients, generator()), torch.stack(projected).mean(0))


def test_clipping_rows_shortens_the_long_ones_only():
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(clip_rows_by_norm(rows, 1.0), torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))
    assert torch.equal(clip_rows_by_norm(rows, 0), rows)


def test_clipping_bounds_the_joint_norm_and_returns_what_it_was():
    gradients = [torch.tensor([3.0]), torch.tensor([4.0])]
    assert clip_by_norm(gradients, 1.0) == pytest.approx(5)
    assert torch.cat(gradients).tolist() == pytest.approx([0.6, 0.8])
    assert clip_by_norm(gradients, 0) == pytest.approx(1)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        clip_by_norm([torch.tensor([float("nan")])], 1.0)


def test_a_chain_that_overflows_is_dropped():
    rows = torch.tensor([[1.0, 2.0], [float("inf"), 0.0], [3.0, 4.0], [float("nan"), 1.0], [3e38, 3e38]])
    kept, dropped = drop_overflowing(rows)
    assert int(dropped) == 3
    assert kept.tolist() == [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]


def test_finite_chains_keep_their_bits():
    rows = torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    kept, dropped = drop_overflowing(rows)
    assert int(dropped) == 0
    assert torch.equal(kept, rows)
