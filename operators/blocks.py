"""A batch in blocks that a CPU's cache holds, so that a map's steps don't each read the batch from memory."""

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

BLOCK_BYTES = 2**19  # per thread: with a step's result twice that, at most what a second-level cache holds


def computes_on_cpu(tensor: Tensor) -> bool:
    """Whether a tensor's operations run on this machine's CPU; those of fake tensors stand for a GPU's."""
    return tensor.device.type == "cpu" and not isinstance(tensor, FakeTensor)


def num_blocks(batch: Tensor, least: int = 1) -> int:
    """Return into how many blocks ``tensor_split`` should divide a batch (B, ...).

    Args:
        batch: what is read first; the other arrays are about as large.
        least: samples of a block, at least, where the batch has as many.
    """
    if not computes_on_cpu(batch):
        return 1
    held = BLOCK_BYTES * torch.get_num_threads() // max(1, batch[:1].nbytes)
    return max(1, len(batch) // max(least, held))
