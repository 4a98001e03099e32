"""One training in several processes: the same bits as in one, and one end for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from many_ranks import killing

from mamrl import checkpoint
from mamrl.distributed import Ranks
from mamrl.training.runs import BEST, EXPERIMENT, LAST, LOG

TINY = {
    "num_trajectories": 16,
    "horizon": 10,
    "chain_length": 2,
    "chains": 3,
    "iterations": 4,
    "validation_every": 2,
    "chain_grad_clip": 1.0,
    "pcgrad": True,
    "actor_lr": 0.05,
    "own_lr_lr": 0.05,
}
EXPERIMENTS = {
    "tabular": TINY | {"agent": "tabular"},
    "sampled": TINY | {"agent": "tabular", "estimator": "sampled", "pcgrad": False},
    "tabular-exact": TINY | {"agent": "tabular-exact"},
    "lstm": TINY | {"agent": "lstm", "hidden_size": 16, "entropy_weight": 0.5, "inner_objective": "dice"},
    "lola-dice": TINY | {"agent": "tabular", "algorithm": "lola-dice"},
}
COUNTS = (1, 2, 3)
SHORT = EXPERIMENTS["tabular"]
ENDING = SHORT | {"iterations": 5, "validation_every": 2}


def trainings(root: Path) -> list[dict]:
    """Everything that these tests look at."""

    def task(name: str, experiment: dict, count: int, **more: object) -> dict:
        return {"out": str(root / name), "experiment": experiment, "count": count, **more}

    same = [task(f"{name}-{count}", experiment, count) for name, experiment in EXPERIMENTS.items() for count in COUNTS]
    begun = SHORT | {"iterations": 2}
    resumed = [task("resumed", begun, 3), task("resumed", SHORT, 2, resume=True)]
    ended = []
    for how in ("kill", "raise"):
        for rank in (0, 1):
            ended.append(task(f"{how}-{rank}", ENDING, 2, ends_at=3, ending_rank=rank, how=how))
            ended.append(task(f"{how}-{rank}", ENDING, 1, resume=True))
    refused = [
        task("crowd", SHORT | {"chains": 2}, 3),
        task("split", SHORT, 2, fields_of_rank={"1": {"actor_lr": 0.01}}),
        task("twice", begun, 2),
        task("twice", begun, 2),
    ]
    return [*same, *resumed, task("unbroken", ENDING, 1), *ended, *refused, *killing(root, 3, SHORT)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "trainings.json").write_text(json.dumps(trainings(folder)))
    script = Path(__file__).with_name("many_ranks.py")
    subprocess.run([sys.executable, script, folder / "trainings.json"], check=True, timeout=600)
    return folder


def error_of(root: Path, name: str, count: int, rank: int) -> str:
    return json.loads((root / f"{name}.{count}.{rank}.json").read_text())


def assert_same_run(first: Path, second: Path) -> None:
    left, right = (checkpoint.load(folder / "test.pt") for folder in (first, second))
    # batched solves of the exact chain round by the size of the batch, which ranks change where there are many personas
    rounding = {"rel": 0, "abs": 0 if left["actions"].numel() else 1e-6}
    torch.testing.assert_close(left["rewards"], right["rewards"], rtol=0, atol=rounding["abs"])
    assert torch.equal(left["actions"], right["actions"])
    for file in (LAST, BEST):
        left, right = checkpoint.load(first / file), checkpoint.load(second / file)
        for name in ("parameters", "own_lr"):
            assert torch.equal(left[name], right[name]), (file, name)
        assert left["validation_auc"] == pytest.approx(right["validation_auc"], **rounding)
    left, right = checkpoint.load(first / LAST), checkpoint.load(second / LAST)
    assert torch.equal(left["generator"], right["generator"])
    assert torch.equal(left["value_parameters"], right["value_parameters"])
    logs = [[json.loads(line) for line in (folder / LOG).read_text().splitlines()] for folder in (first, second)]
    for line in [*logs[0], *logs[1]]:
        del line["seconds"]
    aucs = [[line.pop("validation_auc", 0.0) for line in log] for log in logs]
    assert aucs[0] == pytest.approx(aucs[1], **rounding)
    assert logs[0] == logs[1]


@pytest.mark.parametrize("count", COUNTS[1:])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_any_number_of_ranks_gives_the_bits_of_one(root, name, count):
    for rank in range(count):
        assert not error_of(root, f"{name}-{count}", count, rank)
    assert_same_run(root / f"{name}-1", root / f"{name}-{count}")


def test_a_run_goes_on_with_another_number_of_ranks(root):
    assert not error_of(root, "resumed", 2, 0)
    assert_same_run(root / "tabular-1", root / "resumed")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_raises_ends_the_other_with_its_sentence(root, rank):
    name = f"raise-{rank}"
    assert error_of(root, name, 2, rank) == "the disk is full"
    assert error_of(root, name, 2, 1 - rank) == f"rank {rank} ended: the disk is full"


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_other(root, rank):
    assert "another rank ended without a word" in error_of(root, f"kill-{rank}", 2, 1 - rank)


@pytest.mark.parametrize("name", ["raise-0", "raise-1", "kill-0", "kill-1"])
def test_what_a_dead_rank_leaves_is_resumed_to_the_unbroken_run(root, name):
    assert not error_of(root, name, 1, 0)
    assert_same_run(root / "unbroken", root / name)


def test_killed_at_random_moments_nothing_is_lost(root):
    """Fifty times: ``python tests/training/many_ranks.py --kill 50``."""
    assert_same_run(root / "alone", root / "killed")


def test_more_ranks_than_chains_are_refused(root):
    for rank in range(3):
        assert error_of(root, "crowd", 3, rank) == "3 ranks share chains=2, expected at most as many ranks as chains"
    assert not (root / "crowd").exists()


def test_ranks_with_different_experiments_are_refused(root):
    for rank in range(2):
        sentence = "the ranks do not agree: actor_lr is 0.01 on rank 1 and 0.05 on rank 0"
        assert error_of(root, "split", 2, rank) == sentence
    assert not (root / "split").exists()


def test_a_used_folder_is_refused_on_every_rank(root):
    assert "already holds a run" in error_of(root, "twice", 2, 0)
    assert error_of(root, "twice", 2, 1) == f"rank 0 ended: {error_of(root, 'twice', 2, 0)}"
    assert (root / "twice" / EXPERIMENT).is_file()


@pytest.mark.parametrize(("total", "count"), [(5, 1), (5, 2), (5, 3), (5, 5), (2, 4)])
def test_shares_are_neighbours_that_cover_the_batch_and_differ_by_one_at_most(total, count):
    shares = [Ranks(rank, count).share(total) for rank in range(count)]
    assert [index for share in shares for index in range(total)[share]] == list(range(total))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
