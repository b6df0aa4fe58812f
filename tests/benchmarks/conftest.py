"""Benchmarks run once at tiny sizes with the other tests; --benchmark-enable times them at full size."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread_unless_timed(benchmark):
    """Run tiny tensors on one thread: on a busy machine, threads that wait for each other take minutes."""
    before = torch.get_num_threads()
    if benchmark.disabled:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def time_it(benchmark):
    """Time a function for about a second after one warm-up; one call where benchmarks are disabled."""

    def run(function, rounds=10):
        return benchmark.pedantic(function, rounds=rounds, warmup_rounds=0 if benchmark.disabled else 1)

    return run
