"""Option types: what is read, and what a mistake says."""

import contextlib

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli import Bytes, ImageSize, unknown
from bench.cli.parameters import MINUTES, TOLERANCE, WEIGHT

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "size"),
    [("10GB", 10 * GIB), ("7.5 GiB", int(7.5 * GIB)), ("512mb", 2**29), ("1TB", 2**40), (" 3 kb ", 3072), ("8B", 8)],
)
def test_sizes_are_binary(text, size):
    assert Bytes().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["10XB", "GB", "", "10", "-1GB", "1e3GB", "10GB24", "0GB", "0.0MB"])
def test_bad_sizes_fail_in_one_line(text):
    with pytest.raises(click.ClickException) as caught:
        Bytes().convert(text, None, None)
    assert repr(text) in caught.value.message
    assert "\n" not in caught.value.message


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(click.ClickException):
        assert Bytes().convert(text, None, None) > 0


def test_unknown_names_come_with_the_nearest_and_the_known():
    assert unknown("task", "debulr", ["deblur", "ct"]) == (
        "unknown task 'debulr'; did you mean 'deblur'? known: deblur, ct"
    )
    assert unknown("task", "xyz", ["deblur", "ct"]) == "unknown task 'xyz'; known: deblur, ct"
    assert unknown("scan", "xyz", []) == "unknown scan 'xyz'; none is known"
    assert len(unknown("scan", "x" * 10_000, ["kpi"])) < 300


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.from_regex(r"[0-9]{1,30}(\.[0-9]{1,400})?\s*([KMGT]?i?B)?", fullmatch=True))
def test_any_amount_is_within_bounds_or_refused(text):
    with contextlib.suppress(click.ClickException):
        assert 1 <= Bytes().convert(text, None, None) <= 1024 * 2**40


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=12), st.from_regex(r"\s*\d{1,30}([xX]\d{1,30})?\s*", fullmatch=True)))
def test_any_image_size_is_within_bounds_or_refused(text):
    with contextlib.suppress(click.ClickException):
        assert all(16 <= side <= 4096 for side in ImageSize().convert(text, None, None))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.one_of(st.floats().map(str), st.integers().map(str), st.text(max_size=8)))
def test_any_number_is_within_bounds_or_refused(text):
    for kind in (MINUTES, TOLERANCE, WEIGHT):
        with contextlib.suppress(click.ClickException):
            assert kind.min <= kind.convert(text, None, None) <= kind.max
