"""One training in many processes: each rank computes a share of a batch, and all of them add up the whole of it.

``torchrun --nproc-per-node 2 -m mamrl train ...`` starts the ranks, :func:`joined` makes them one group. What they
compute is gathered in the order of the batch before it is added, so that a result does not depend on their number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_ERROR = "error"
# how long a rank whose peers are gone waits for the reason that one of them left
_PATIENCE_S = 2.0
_Any = TypeVar("_Any")


class RankError(ConnectionError):
    """Another rank ended; the message is why."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that share a batch; by itself unless :func:`joined` says otherwise.

    Attributes:
        rank: which one, from 0.
        count: how many there are.
        local: which one on its machine, for its device.
        store: where a rank that ends leaves the reason.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    store: dist.Store | None = None

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """This rank's own of a kind of device: "cuda" is its machine's GPU of the same number."""
        return f"cuda:{self.local}" if name == "cuda" and not self.alone else name

    def share(self, total: int, rank: int | None = None) -> slice:
        """Which of ``total`` things are a rank's: neighbours, as many as every other rank's or one more.

        Args:
            total: of the batch.
            rank: whose; None is this one's.
        """
        rank = self.rank if rank is None else rank
        each, more = divmod(total, self.count)
        start = rank * each + min(rank, more)
        return slice(start, start + each + (rank < more))

    def gather(self, columns: Sequence[Tensor], total: int) -> list[Tensor]:
        """Every rank's rows in the order of the batch, by one collective.

        Args:
            columns: tensors (rows of this rank's share, ...) of one dtype, side by side.
            total: rows of the whole batch.

        Returns:
            The same with ``total`` rows, on every rank.

        Raises:
            RankError: another rank ended.
        """
        if self.alone:
            return list(columns)
        mine = torch.cat([column.flatten(1) for column in columns], dim=1)
        # a collective asks the same size of every rank
        padded = mine.new_zeros(-(-total // self.count), mine.shape[1])
        padded[: len(mine)] = mine
        received = [torch.empty_like(padded) for _ in range(self.count)]
        with self._missing_nobody():
            dist.all_gather(received, padded)
        sizes = [self.share(total, rank) for rank in range(self.count)]
        rows = torch.cat([each[: size.stop - size.start] for each, size in zip(received, sizes, strict=True)])
        parts = rows.split([column[0].numel() for column in columns], dim=1)
        return [part.reshape(total, *column.shape[1:]) for part, column in zip(parts, columns, strict=True)]

    def from_first(self, value: _Any) -> _Any:
        """The first rank's value, on every rank; the others' is ignored.

        Raises:
            RankError: another rank ended.
        """
        if self.alone:
            return value
        box = [value]
        with self._missing_nobody():
            dist.broadcast_object_list(box)
        return box[0]

    def check_agreement(self, facts: Mapping[str, object]) -> None:
        """Compares what must be the same everywhere.

        Args:
            facts: names and values; of each rank the same names.

        Raises:
            ValueError: a rank differs; names it and the first fact.
            RankError: another rank ended.
        """
        if self.alone:
            return
        everyone: list[Any] = [None] * self.count
        with self._missing_nobody():
            dist.all_gather_object(everyone, dict(facts))
        for rank, theirs in enumerate(everyone):
            for name, value in everyone[0].items():
                if theirs.get(name) != value:
                    raise ValueError(
                        f"the ranks do not agree: {name} is {theirs.get(name)!r} on rank {rank} and {value!r} on rank 0"
                    )

    @contextmanager
    def _missing_nobody(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            lost = f"another rank ended without a word ({str(error).splitlines()[0]})"
            raise RankError(self._reason() or lost) from None

    def _reason(self) -> str:
        assert self.store is not None
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not self.store.check([_ERROR]):
                if time.monotonic() > deadline:
                    return ""
                time.sleep(0.05)
            return self.store.get(_ERROR).decode()
        except RuntimeError:  # the store went with its rank
            return ""


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Within the block, the group of the processes that ``torchrun`` started; :data:`ALONE` where it started none.

    Numbers travel by gloo between CPUs, and by NCCL between GPUs. What ends this rank within the block ends the others
    with the same sentence, at their next exchange.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    store, rank, count = next(dist.rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count)
    reasons = dist.PrefixStore("mamrl", store)
    try:
        yield Ranks(rank, count, int(os.environ.get("LOCAL_RANK", "0")), reasons)
    except RankError:
        raise
    except BaseException as error:
        reasons.set(_ERROR, f"rank {rank} ended: {str(error) or type(error).__name__}")
        raise
    finally:
        dist.destroy_process_group()
