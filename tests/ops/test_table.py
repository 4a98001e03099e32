import pytest
import torch
from checks import (
    DEVICES,
    DTYPES,
    assert_close,
    check_compiled,
    check_derivatives,
    check_registration,
    check_scripted,
    check_thread_counts,
    on,
    strided,
)

from mamrl import ops
from mamrl.ops import reference

LOOKUP = torch.ops.mamrl.table_lookup.default
ACCUMULATE = torch.ops.mamrl.table_accumulate.default


def example(horizon=6, chains=3, trajectories=5, rows=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    table = torch.randn(chains, rows, generator=generator, dtype=dtype)
    index = torch.randint(rows, (horizon, chains, trajectories), generator=generator)
    values = torch.randn(horizon, chains, trajectories, generator=generator, dtype=dtype)
    return table, index, values


def test_lookup_reads_each_chains_own_row():
    table, index, _ = example()
    out = ops.table_lookup(table, index)
    assert out[2, 1, 3] == table[1, index[2, 1, 3]]
    assert out.shape == index.shape


def test_accumulate_is_the_transpose_of_lookup():
    table, index, values = example()
    there = (ops.table_lookup(table, index) * values).sum()
    back = (table * ops.table_accumulate(values, index, 4)).sum()
    assert_close(there, back)


@DEVICES
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (6, 3, 5, 4), (40, 2, 67, 1000)])
def test_kernels_agree_with_their_twins(device, dtype, sizes):
    table, index, values = on(device, *example(*sizes, dtype))
    assert torch.equal(ops.table_lookup(table, index), reference.table_lookup(table, index))
    assert_close(ops.table_accumulate(values, index, sizes[-1]), reference.table_accumulate(values, index, sizes[-1]))


def test_float32_sums_of_a_crowded_row_keep_their_digits():
    values = torch.full((1000, 1, 1000), 0.1)
    total = ops.table_accumulate(values, torch.zeros(1000, 1, 1000, dtype=torch.int64), 1)
    assert_close(total, torch.tensor([[float(torch.tensor(0.1).double()) * 1e6]]), scale=0.01)


def test_derivatives_agree_with_finite_differences_to_second_order():
    table, index, values = example(3, 2, 2, 3)
    check_derivatives(lambda t: ops.table_lookup(t, index) ** 2, table)
    check_derivatives(lambda v: ops.table_accumulate(v, index, 3) ** 2, values)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_registrations_hold(requires_grad):
    table, index, values = example(3, 2, 2, 3, torch.float32)
    check_registration(LOOKUP, table.requires_grad_(requires_grad), index)
    check_registration(ACCUMULATE, values.requires_grad_(requires_grad), index, 3)


def test_compiles_to_one_graph():
    table, index, values = example()
    check_compiled(lambda t: ops.table_lookup(t, index), table.requires_grad_())
    check_compiled(lambda v: ops.table_accumulate(v, index, 4), values.requires_grad_())


def test_scripts():
    table, index, _ = example()
    source = """
    def run(table: Tensor, index: Tensor) -> Tensor:
        return torch.ops.mamrl.table_accumulate(torch.ops.mamrl.table_lookup(table, index), index, 4)
    """
    expected = ops.table_accumulate(ops.table_lookup(table, index), index, 4)
    torch.testing.assert_close(check_scripted(source, table, index), expected)


def test_non_contiguous_arguments_give_the_same():
    table, index, values = example()
    assert torch.equal(ops.table_lookup(strided(table), strided(index)), ops.table_lookup(table, index))
    expected = ops.table_accumulate(values, index, 4)
    assert torch.equal(ops.table_accumulate(strided(values), strided(index), 4), expected)


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0)])
def test_nothing_gives_nothing(shape):
    index = torch.zeros(shape, dtype=torch.int64)
    assert ops.table_lookup(torch.zeros(shape[1], 5), index).shape == shape
    sums = ops.table_accumulate(torch.ones(shape), index, 5)
    assert sums.shape == (shape[1], 5)
    assert not sums.any()


def test_thread_count_changes_no_bit():
    table, index, values = example(100, 7, 211, 9, torch.float32)
    check_thread_counts(lambda: ops.table_lookup(table, index))
    check_thread_counts(lambda: ops.table_accumulate(values, index, 9))


@pytest.mark.parametrize("wrong", [-1, 4, 2**62, -(2**63), 2**63 - 1])
def test_an_index_outside_the_table_is_named_before_anything_is_read(wrong):
    table, index, values = example()
    index[3, 1, 2] = wrong
    for call in (lambda: ops.table_lookup(table, index), lambda: ops.table_accumulate(values, index, 4)):
        with pytest.raises(ValueError, match=f"^index holds {wrong}, expected at least 0 and below 4$"):
            call()
    with pytest.raises(RuntimeError, match="mamrl: index holds"):
        LOOKUP(table, index)


def test_any_index_is_outside_an_empty_table():
    with pytest.raises(ValueError, match="index holds 0"):
        ops.table_lookup(torch.zeros(1, 0), torch.zeros(1, 1, 1, dtype=torch.int64))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"table": torch.zeros(3, 4).half()}, TypeError, "table is torch.float16, expected torch.float32"),
        ({"table": torch.zeros(4)}, ValueError, r"table has shape \(4,\), expected \(M, R\)"),
        ({"index": torch.zeros(6, 3, 5)}, TypeError, "index is torch.float32, expected torch.int64"),
        (
            {"index": torch.zeros(6, 2, 5).long()},
            ValueError,
            r"index has shape \(6, 2, 5\), expected \(T, M, K\) with M = 3",
        ),
        ({"index": torch.zeros(3, 5).long()}, ValueError, r"index has shape \(3, 5\)"),
        ({"index": torch.zeros(6, 3, 5, device="meta").long()}, ValueError, "index is on meta, expected cpu as table"),
    ],
)
def test_bad_lookups_are_named(change, error, message):
    table, index, _ = example()
    with pytest.raises(error, match=message):
        ops.table_lookup(**({"table": table, "index": index} | change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"values": torch.zeros(6, 3, 5).half()}, TypeError, "values is torch.float16, expected torch.float32"),
        ({"values": torch.zeros(6, 3)}, ValueError, r"values has shape \(6, 3\), expected \(T, M, K\)"),
        (
            {"index": torch.zeros(6, 3, 4).long()},
            ValueError,
            r"index has shape \(6, 3, 4\), expected \(6, 3, 5\) as values",
        ),
        ({"num_rows": -1}, ValueError, "num_rows is -1, expected at least 0"),
    ],
)
def test_bad_accumulations_are_named(change, error, message):
    _, index, values = example()
    with pytest.raises(error, match=message):
        ops.table_accumulate(**({"values": values, "index": index, "num_rows": 4} | change))
