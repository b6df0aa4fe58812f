"""Wall time of work on a device, synchronised before and after."""

import time
from collections.abc import Callable

import torch


def now_s(device: torch.device) -> float:
    """Return a clock's reading after the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds that work takes.

    Args:
        work: what to time; its result is dropped.
        device: the device on which it runs.
    """
    started = now_s(device)
    work()
    return now_s(device) - started
