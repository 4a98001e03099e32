"""Past selves to play against, so that an agent does not forget how to answer what it once was."""

from __future__ import annotations

import torch
from torch import Tensor


class PastSelves:
    """The last ``capacity`` rows that were put in.

    Attributes:
        rows: (P,) each, the oldest first.
        capacity: how many are kept.
    """

    def __init__(self, capacity: int, rows: list[Tensor] | None = None) -> None:
        self.capacity, self.rows = capacity, list(rows or [])

    def push(self, row: Tensor) -> None:
        """Puts a copy in, and drops the oldest where there is no room."""
        self.rows.append(row.detach().clone())
        del self.rows[: max(len(self.rows) - self.capacity, 0)]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, P), drawn uniformly with replacement."""
        chosen = torch.randint(len(self.rows), (count,), generator=generator)
        return torch.stack([self.rows[index] for index in chosen.tolist()])
