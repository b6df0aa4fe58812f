"""Spreads independent pieces of work over the machine's cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_processes(
    work: Callable[[_Item], _Result],
    items: Sequence[_Item],
    told: Callable[[_Item, int], None] = lambda item, done: None,
) -> dict[_Item, _Result]:
    """Do a piece of work for every item, one process per core, one thread each.

    Args:
        work: a module's function; it and the items travel to other processes.
        items: hashable, different from each other.
        told: called with an item that is finished, and how many are.

    Returns:
        Item -> result. An item whose work raised an exception is missing: whoever needs it does it again and
        meets the exception where it can be told.
    """
    workers = min(os.cpu_count() or 1, len(items))
    if workers < 2:
        return {}
    found = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(work, item): item for item in items}
        for done, future in enumerate(as_completed(futures), start=1):
            if future.exception() is None:
                found[futures[future]] = future.result()
            told(futures[future], done)
    return found
