"""Large results lie in memory that is kept from one call to the next: reused when freed, never while alive."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from lstm_cases import lstm_case

from mamrl import ops

STEPS = (40, 1, 64)  # of which 64 units save 3.3 MB


def lstm(case):
    return torch.ops.mamrl.lstm(*case, 1.0)


@pytest.fixture
def case():
    ops.release_memory()
    yield lstm_case(*STEPS, 64, 2, dtype=torch.float32)
    ops.release_memory()


def saved_bytes(saved):
    return saved.numel() * saved.element_size()


def test_memory_of_a_freed_result_serves_the_next(case):
    outputs, saved = lstm(case)
    expected, address = saved.clone(), saved.data_ptr()
    saved.fill_(torch.nan)
    del saved
    again, saved = lstm(case)
    assert saved.data_ptr() == address
    assert torch.equal(again, outputs)
    assert torch.equal(saved, expected)


def test_what_is_alive_is_not_given_away(case):
    results = [lstm(case)[1] for _ in range(3)]
    first = results[0].clone()
    view = results[0][3:, :, 5]
    del results[0]
    others = [lstm(case)[1] for _ in range(2)]
    assert torch.equal(view, first[3:, :, 5])
    assert len({x.untyped_storage().data_ptr() for x in [view, *results, *others]}) == 5


def test_what_was_freed_last_is_given_first(case):
    """It is in the cache still, where the others are not."""
    results = [lstm(case)[1] for _ in range(3)]
    address = results[1].data_ptr()
    results.pop(0)
    results.pop(0)
    assert lstm(case)[1].data_ptr() == address


def test_results_of_every_size_are_ordinary_tensors(case):
    rewards, values = torch.randn(150, 4096), torch.randn(151, 4096)
    advantages = ops.gae(rewards, values, discount=0.9, gae_lambda=0.9)
    columns = [ops.gae(r, v, discount=0.9, gae_lambda=0.9) for r, v in zip(rewards.T, values.T, strict=True)]
    assert torch.equal(advantages, torch.stack(columns, dim=1))
    # what looks at the memory keeps it
    view, expected, address = advantages.numpy(), advantages.clone(), advantages.data_ptr()
    del advantages
    other = ops.gae(rewards + 1, values, discount=0.9, gae_lambda=0.9)
    assert other.data_ptr() != address
    assert torch.equal(torch.from_numpy(view), expected)
    stream = io.BytesIO()
    torch.save(other, stream)
    stream.seek(0)
    assert torch.equal(torch.load(stream), other)


def test_release_hands_back_what_is_idle_and_no_more(case):
    kept, freed = lstm(case)[1], lstm(case)[1]
    expected, size = kept.clone(), saved_bytes(kept)
    del freed
    assert size <= ops.release_memory() < size + 4096
    assert ops.release_memory() == 0
    assert torch.equal(kept, expected)
    del kept
    assert size <= ops.release_memory() < size + 4096


def test_idle_memory_that_does_not_fit_makes_room(case):
    """Held are never more bytes than were in use at one time: the smaller blocks go when the large one comes."""
    large_case = lstm_case(2 * STEPS[0], *STEPS[1:], 64, 2, dtype=torch.float32)
    small = [lstm(case)[1] for _ in range(2)]
    size = saved_bytes(small[0])
    del small
    large = lstm(large_case)[1]
    assert saved_bytes(large) == 2 * size
    assert ops.release_memory() == 0
    del large
    assert 2 * size <= ops.release_memory() < 2 * size + 4096


def test_a_much_larger_block_is_not_spent_on_a_small_result(case):
    large = lstm(lstm_case(2 * STEPS[0], *STEPS[1:], 64, 2, dtype=torch.float32))[1]
    held = lstm(case)[1]
    address = large.untyped_storage().data_ptr()
    del large, held
    assert lstm(case)[1].untyped_storage().data_ptr() != address


def test_memory_outlives_the_thread_that_took_it(case):
    expected = lstm(case)[1]
    with ThreadPoolExecutor(4) as pool:
        for saved in pool.map(lambda _: lstm(case)[1], range(32)):
            assert torch.equal(saved, expected)
