"""The traces that simulations need, made in the background on every core while the first part has the GPU."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

from bench.gpu.budget import Budget
from bench.gpu.site import Site
from bench.memory.forked import ForkServer
from bench.memory.simulate import trace_key
from bench.memory.traces import TraceKey, trace_of

TRACE_S = 120.0
WAIT_S = 60.0


class Tracing:
    """Makes traces in forked processes, which leave them in the cache on disk.

    Args:
        site: whose questions they answer.
        server: forks the processes.
    """

    def __init__(self, site: Site, server: ForkServer) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "tracing")
        keys = list(dict.fromkeys(map(trace_key, site.traced)))
        self._futures: list[Future[None]] = [self._pool.submit(self._make, key) for key in keys]

    def wait(self, budget: Budget) -> None:
        """Wait until all are there, but not for long; whoever needs one that is missing makes it."""
        wait_for(self._futures, timeout=min(budget.left_s, WAIT_S))

    def stop(self) -> None:
        """Begin no further trace, and end those that are being made."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._server.end_calls()

    def _make(self, key: TraceKey) -> None:
        self._server.call(make_trace, key, timeout_s=TRACE_S)


def make_trace(key: TraceKey) -> None:
    """Make a trace, unless it is in the cache on disk."""
    trace_of(key)
