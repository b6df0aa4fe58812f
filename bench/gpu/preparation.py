"""CPU work for later parts, done while the first part uses the GPU: traces and tuned kernels."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

import torch

from bench.gpu.budget import Budget
from bench.gpu.site import Site
from bench.memory.simulate import trace_key
from bench.memory.traces import TraceKey, trace_of
from bench.records.environment import pick_device
from bench.runner.forked import ForkServer
from bench.tasks import TASKS

JOB_S, WAIT_S = 120.0, 60.0
SHARED_BATCHES = (8, 1, 2, 4)
"""Every number of images that can share work in the Radon kernels. Each is tuned separately. Tuning allocates more than
steps do, so it ends before memory is measured. Triton keeps its choices on disk."""


class Preparation:
    """Makes traces and tunes kernels in forked processes, which leave both on disk.

    Args:
        site: whose questions they are for.
        server: forks the processes.
    """

    def __init__(self, site: Site, server: ForkServer) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "preparation")
        self._futures: list[Future[None]] = []
        if not site.rehearse:
            device, shape = str(pick_device(site.device)), site.image_shape("ct")
            self._futures += [self._pool.submit(self._call, tune, device, shape, batch) for batch in SHARED_BATCHES]
        for key in dict.fromkeys(map(trace_key, site.traced)):
            self._futures.append(self._pool.submit(self._call, make_trace, key))

    def wait(self, budget: Budget) -> None:
        """Wait a limited time until everything is ready; parts build what is still missing."""
        wait_for(self._futures, timeout=min(budget.left_s, WAIT_S))

    def stop(self) -> None:
        """Start no further process, and end those that are running."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._server.end_calls()

    def _call(self, *call: object) -> None:
        self._server.call(*call, timeout_s=JOB_S)  # type: ignore[arg-type]


def make_trace(key: TraceKey) -> None:
    """Make a trace, unless it is in the cache on disk."""
    trace_of(key)


def tune(device: str, image_shape: tuple[int, int], batch: int) -> None:
    """Apply the Radon transform both ways once, so that its kernels for a batch are compiled and tuned.

    Args:
        device: a CUDA device.
        image_shape: (H, W) in pixels.
        batch: images.
    """
    operator = TASKS["ct"].operator_at(image_shape, torch.device(device))
    operator.adjoint(operator(torch.rand(batch, *operator.image_shape, device=device)))
