"""The norm of a map by power iteration."""

from collections.abc import Callable

import torch
from torch import Tensor

from operators.phases import uncounted

NORM_ITERATIONS = 50


@torch.inference_mode(False)
@torch.no_grad()
def power_iteration(
    normal: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> float:
    """Return the square root of a map's largest eigenvalue, from below; no operator call in it is counted.

    Args:
        normal: J^H J for batches (B, *shape).
        shape: of one image.
        dtype: of the images.
        device: where the map runs; the start is drawn on the CPU, and is always the same.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((1, *shape), generator=generator, dtype=dtype, device="cpu").to(device)
    norm = 0.0
    with uncounted(), torch.autocast(device.type, enabled=False):
        for _ in range(NORM_ITERATIONS):
            x = normal(x / torch.linalg.vector_norm(x))
            norm = float(torch.linalg.vector_norm(x).sqrt())
            if norm == 0:
                break
    return norm
