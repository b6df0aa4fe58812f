"""Measured constants in place of bounds: between and beyond the batches that were measured."""

import pytest

from bench.memory.calibration import Rules
from bench.memory.trace import Affine, Request

CALL = '["aten.convolution.default", []]'
REQUEST = Request(Affine(0, 0), Affine(0, 10**9), Affine(0, 10**9), "forward", "workspaces", CALL)
POINTS = ((1, 100), (2, 100), (64, 64_000), (96, 96_001), (128, 1_000))


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (1, 100),
        (64, 64_000),
        (66, 66_001),  # 45 % more with the next larger batch's
        (95, 95_001),
        (96, 96_001),
        (112, 48_501),  # less at a larger batch, where a library takes another kernel
        (128, 1_000),
        (192, 1_500),
    ],
)
def test_a_call_takes_what_lies_between_its_neighbours(batch, expected):
    assert Rules(0, bound="low", calls={CALL: POINTS}).size(REQUEST, batch) == expected


def test_below_the_first_batch_it_takes_the_firsts():
    assert Rules(0, bound="low", calls={CALL: ((4, 400),)}).size(REQUEST, 2) == 400
