import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.resample import crop_centre, crop_to_aspect, fitted, resize

SIDES = st.integers(1, 24)


def ramp(height, width):
    return np.arange(2 * height * width, dtype=np.float32).reshape(2, height, width)


def test_whole_factors_are_block_means():
    image = np.random.default_rng(0).random((3, 12, 8), dtype=np.float32)
    blocks = image.reshape(3, 4, 3, 4, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(resize(image, (4, 4)), blocks, rtol=1e-6)


def test_fractional_factors_weigh_pixels_by_their_overlap():
    row = np.array([[[1.0, 10.0, 100.0]]], dtype=np.float32)
    np.testing.assert_allclose(resize(row, (1, 2)), [[[6 / 1.5, 105 / 1.5]]], rtol=1e-6)


def test_stripes_finer_than_the_new_pixels_turn_grey():
    stripes = np.tile([0.0, 1.0], 32).astype(np.float32) * np.ones((1, 64, 1), dtype=np.float32)
    np.testing.assert_allclose(resize(stripes, (10, 10)), 0.5, atol=0.08)


def test_enlarging_interpolates_linearly_between_centres():
    np.testing.assert_allclose(resize(np.array([[[0.0, 1.0]]], dtype=np.float32), (1, 4)), [[[0, 0.25, 0.75, 1]]])


def test_an_image_of_the_wanted_size_is_handed_through():
    image = ramp(5, 4)
    assert resize(image, (5, 4)) is image


@settings(derandomize=True, deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES)
def test_any_size_to_any_size_keeps_range_type_and_mean(height, width, new_height, new_width):
    image = np.random.default_rng(height * 100 + width).random((2, height, width), dtype=np.float32)
    small = resize(image, (new_height, new_width))
    assert small.shape == (2, new_height, new_width)
    assert small.dtype == np.float32
    assert small.min() >= image.min()
    assert small.max() <= image.max()
    if new_height <= height and new_width <= width:
        np.testing.assert_allclose(small.mean(), image.mean(), rtol=1e-5)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES)
def test_cropping_to_an_aspect_keeps_one_side_and_the_centre(height, width, wanted_height, wanted_width):
    image = ramp(height, width)
    cropped = crop_to_aspect(image, (wanted_height, wanted_width))
    assert cropped.shape[1] == height or cropped.shape[2] == width
    ratio = wanted_height / wanted_width
    # Within half a pixel of the cut side.
    assert abs(cropped.shape[1] - cropped.shape[2] * ratio) <= max(0.5 * ratio, 0.5) or 1 in cropped.shape[1:]
    np.testing.assert_array_equal(cropped, crop_centre(image, cropped.shape[1:]))


@pytest.mark.parametrize(("size", "first"), [(5, 1), (6, 1)])
def test_the_centre_of_an_odd_margin_lies_up_and_left(size, first):
    assert crop_centre(np.arange(size)[None] * np.ones((size, 1)), (3, 3))[0, 0] == first


def test_an_image_is_fitted_by_resizing_by_nothing_or_by_its_centre():
    image = ramp(6, 5)
    np.testing.assert_array_equal(fitted(image, (3, 4), "resize"), resize(image, (3, 4)))
    assert fitted(image, (3, 4), "whole") is image
    centre = fitted(image, (3, 4), "centre")
    np.testing.assert_array_equal(centre, image[:, 1:4, :4])
    assert centre.flags.c_contiguous


@pytest.mark.parametrize("fit", ["whole", "centre"])
@pytest.mark.parametrize("wanted", [(7, 5), (6, 6)])
def test_what_must_not_be_resized_is_never_enlarged(fit, wanted):
    with pytest.raises(ValueError, match=f"6x5 pixels are too few for {wanted[0]}x{wanted[1]}"):
        fitted(ramp(6, 5), wanted, fit)
    assert fitted(ramp(6, 5), wanted, "resize").shape == (2, *wanted)
