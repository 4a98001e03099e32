"""A function of tensors that stay where they are, recorded once and replayed: a CUDA graph on a GPU.

What a recording replays are the device's own operations, with the addresses and the numbers that they had. So a
function that is to be recorded takes nothing from the host: whatever changes from call to call it reads from tensors
that are filled in place before the call, and it leaves its results in tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Compute = Callable[[], Tensor]
# calls before the recording: handles, workspaces, modules and an optimiser's moments come into being at a first call
WARM_UP = 3


class Recorder(Protocol):
    """How a kind of device records."""

    def warm_up(self, compute: Compute) -> Tensor:
        """Calls the function in the surroundings in which it will be recorded."""
        ...

    def record(self, compute: Compute) -> Compute:
        """What repeats the function's operations, in place; recording alone has no effect on any tensor."""
        ...


class GraphRecorder:
    """CUDA graphs: a stream of its own to record on, and memory that belongs to the recording.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    def warm_up(self, compute: Compute) -> Tensor:
        """See :meth:`Recorder.warm_up`."""
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            result = compute()
        outside.wait_stream(self.stream)
        return result

    def record(self, compute: Compute) -> Compute:
        """See :meth:`Recorder.record`."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.stream.device), torch.cuda.graph(graph, stream=self.stream):
            result = compute()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


RECORDERS: dict[str, Callable[[torch.device], Recorder]] = {"cuda": GraphRecorder}


def can_record(device: torch.device) -> bool:
    """Whether functions on a device can be recorded."""
    return device.type in RECORDERS


class Captured:
    """Calls a function: the first ``WARM_UP`` times as it is, then by a recording of it.

    Args:
        compute: without arguments; see the module's first lines for what it may read.
        device: where its tensors are, a device that :func:`can_record`.
    """

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._compute, self._recorder = compute, RECORDERS[device.type](device)
        self._calls, self._replay = 0, compute

    def __call__(self) -> Tensor:
        """The function's result, which the next call overwrites."""
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._recorder.warm_up(self._compute)
        if self._calls == WARM_UP + 1:
            self._replay = self._recorder.record(self._compute)
        return self._replay()
