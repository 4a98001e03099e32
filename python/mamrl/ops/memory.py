"""The memory that ops keep on the CPU for their next large results."""

import torch


def release_memory() -> int:
    """Hands the memory that ops keep for their next large results back to the system.

    Fresh memory for results from 2 MiB on, such as what an LSTM saves for its derivatives, has to be cleared by the
    system page by page, which can take as long as a third of a training iteration, or twice as long as a large
    :func:`mamrl.ops.gae`. So a block that was freed is kept for the next call that asks for as much; in use and kept
    together never are more than was in use at one time. As ``torch.cuda.empty_cache`` is for a GPU, this is for a
    process that goes on to other work. Tensors that are alive stay as they are; tensors in such memory cannot grow by
    ``resize_``.

    Returns:
        Bytes handed back.
    """
    return int(torch.ops.mamrl.release_memory())
