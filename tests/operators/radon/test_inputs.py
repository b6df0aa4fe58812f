"""What the Radon transform makes of unusual scans and values, and which it refuses."""

import numpy as np
import pytest
import torch

from operators import Radon


def test_rows_follow_the_angles_order_and_repeats_are_measured_again():
    angles = np.arange(8) * np.pi / 8
    order = np.array([5, 0, 7, 0, 3, 5, 1, 2, 6, 4])
    x = torch.rand(2, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = Radon((9, 9), angles=angles)(x)[:, :, order]
    operator = Radon((9, 9), angles=angles[order])
    torch.testing.assert_close(operator(x), expected)
    assert operator.data_shape[1] == 10


def test_detectors_that_miss_the_image_read_zero_and_give_nothing_back():
    operator = Radon((8, 8), num_angles=3, num_detectors=5, detector_spacing=4.0)
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.1
    seen = operator(x)[0, 0]
    assert not seen[:, [0, 4]].any()
    assert (seen[:, 2] > 0).all()
    y = torch.zeros(1, *operator.data_shape)
    y[..., [0, 4]] = 1
    assert not operator.adjoint(y).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_detector_row_that_misses_it_altogether_is_zero(dtype):
    operator = Radon((4, 4), num_angles=3, num_detectors=2, detector_spacing=50.0)
    for batch in (1, 5):
        assert not operator(torch.ones(batch, 1, 4, 4, dtype=dtype)).any()
        assert not operator.adjoint(torch.ones(batch, 1, 3, 2, dtype=dtype)).any()
    assert operator.norm() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("batch", [2, 9])
def test_values_that_are_not_finite_spoil_what_they_touch_and_no_batch_mate(value, batch):
    operator = Radon((16, 16), num_angles=4, num_detectors=23, detector_spacing=1.0)
    x = torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    clean = operator(x)
    x[1, 0, 2, 3] = value
    spoilt = operator(x)
    hit = ~spoilt[1, 0].isfinite()
    assert (hit.sum(dim=1) >= 1).all()  # at every angle
    assert (hit.sum(dim=1) <= 5).all()
    assert torch.equal(spoilt[1, 0][~hit], clean[1, 0][~hit])
    others = [index for index in range(batch) if index != 1]
    assert torch.equal(spoilt[others], clean[others])
    y = clean.clone()
    y[0, 0, 0, 11] = value
    back = operator.adjoint(y)
    assert not back[0].isfinite().all()
    assert back[0].isfinite().any()
    assert back[1:].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_images_and_sinograms_are_refused(dtype):
    operator = Radon((8, 8), num_angles=3)
    with pytest.raises(ValueError, match="expected a image of float32 or float64"):
        operator(torch.zeros(1, *operator.image_shape, dtype=dtype))
    with pytest.raises(ValueError, match="expected a sinogram of float32 or float64"):
        operator.adjoint(torch.zeros(1, *operator.data_shape, dtype=dtype))


@pytest.mark.parametrize("form", [list, torch.as_tensor, np.asarray])
def test_angles_come_in_any_form(form):
    angles = np.array([0.1, 0.7, 2.0])
    operator = Radon((8, 8), angles=form(angles))
    assert operator.data_shape[1] == 3
    np.testing.assert_array_equal(operator.angles, angles)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_angles": 0}, "num_angles"),
        ({"num_angles": 2.5}, "num_angles"),
        ({"num_detectors": 0}, "num_detectors"),
        ({"detector_spacing": 0.0}, "detector_spacing"),
        ({"detector_spacing": -1.0}, "detector_spacing"),
        ({"pixel_size": float("inf")}, "pixel_size"),
        ({"angles": []}, "angles"),
        ({"angles": [[0.0, 1.0]]}, "angles"),
        ({"angles": [0.0, float("nan")]}, "angles"),
        ({"angles": [0.0, 1j]}, "real numbers"),
        ({"angles": torch.zeros(2, dtype=torch.complex64)}, "real numbers"),
        ({"angles": ["a", "b"]}, "real numbers"),
        ({"angles": [0.0, 1.0], "num_angles": 3}, "num_angles is 3, but 2"),
    ],
)
def test_impossible_geometries_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Radon((8, 8), **arguments)
