"""The processes that torchrun started, which answer every cell together; without it there is one."""

import os


def world_size() -> int:
    """Return how many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def alone() -> bool:
    """Whether this is the only process."""
    return world_size() == 1


def leads() -> bool:
    """Whether this process stores and reports: the first one does."""
    return alone() or int(os.environ.get("RANK", "0")) == 0
