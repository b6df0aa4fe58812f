"""Damage, and what readers and the check of a data set do with it."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bench.data.base import DataError

SHAPE = (24, 24)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
LENGTH = st.one_of(st.just(1.0), st.floats(0, 1))


def many(examples):
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def damaged(content, edits, length, first_bytes=None):
    """Replace bytes at shares of the length, within the first ones if told, and cut the end off."""
    edited = bytearray(content)
    for place, value in edits:
        edited[int(place * (min(first_bytes or len(edited), len(edited)) - 1))] = value
    return bytes(edited[: round(length * len(edited))])


def one_line(error):
    assert str(error).isprintable()
    return False


def used(open_split, source):
    """Read all that training would; return whether it can."""
    try:
        split = open_split(source, "train", image_shape=SHAPE, count=5, seed=0)
        items = [split[position] for position in range(len(split))]
    except DataError as error:
        return one_line(error)
    assert all(np.isfinite(item.image.numpy()).all() for item in items)
    return True


def sound(examine, file):
    """Tell whether ``bench.data check`` has nothing to say against a file."""
    try:
        problems = examine(file).problems
    except DataError as error:
        problems = [str(error)]
    assert all(problem.isprintable() for problem in problems)
    return not problems
