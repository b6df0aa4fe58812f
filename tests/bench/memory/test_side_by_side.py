"""A card's memory, lent to several processes at once."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.memory.side_by_side import Room
from bench.records import GIB


def test_what_is_lent_never_exceeds_the_card_and_everybody_gets_it():
    room, lock = Room(80), threading.Lock()
    out = most = 0
    sizes = random.Random(0).choices([8, 10, 24], k=200)

    def use(size):
        nonlocal out, most
        with room.lend(size):
            with lock:
                out += size
                most = max(most, out)
            threading.Event().wait(0.001)
            with lock:
                out -= size

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(use, sizes))
    assert 24 < most <= 80  # several at once, and never too many
    assert room.free_bytes == room.total_bytes


def test_room_is_given_back_by_what_fails():
    room = Room(10)
    with pytest.raises(ZeroDivisionError), room.lend(10):
        raise ZeroDivisionError
    assert room.free_bytes == 10


def test_what_never_fits_is_refused():
    with (
        pytest.raises(ValueError, match=r"24\.0 GiB do not fit on a card with 16\.0 GiB free"),
        Room(16 * GIB).lend(24 * GIB),
    ):
        pass
