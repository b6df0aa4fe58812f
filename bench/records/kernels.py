"""The flags that select CUDA kernels, and so workspaces, speed and rounding; shared by all measurements."""

from typing import Any

import torch


def pin_kernels(*, tf32: bool = False) -> None:
    """Choose kernels by rule, not by a benchmark; repeatable ones; without TensorFloat-32 unless it is asked for."""
    flags = flags_of(tf32=tf32)
    torch.backends.cudnn.benchmark = flags["benchmark"]
    torch.backends.cudnn.deterministic = flags["deterministic"]
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = flags["tf32"]


def flags_of(*, tf32: bool = False) -> dict[str, bool]:
    """Return what ``pin_kernels`` sets."""
    return {"benchmark": False, "deterministic": True, "tf32": tf32}


def libraries(*, tf32: bool = False) -> dict[str, Any]:
    """Return what decides about kernels beside GPU and torch, as ``Provenance`` and ``Calibration`` hold it."""
    return {
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),
        "flags": flags_of(tf32=tf32),
    }
