"""The adapter of torch-radon, against a stand-in with the interfaces of both of its versions."""

import sys

import pytest
import torch

from operators import Radon
from tests.operators.phantom import phantom, relative_error
from tests.operators.radon.torch_radon_stand_in import stand_in


@pytest.fixture(params=["original", "fork"])
def torch_radon(request, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_radon", stand_in(request.param))
    return request.param


@pytest.mark.parametrize(("shape", "spacing"), [((24, 24), 0.8), ((25, 25), 0.5)])
def test_torch_radon_is_adapted_in_units_orientation_and_scale(torch_radon, shape, spacing):
    scan = {"num_angles": 9, "num_detectors": 71, "detector_spacing": spacing, "pixel_size": 0.3}
    ours, theirs = Radon(shape, **scan), Radon(shape, backend="torch-radon", **scan)
    x = phantom(shape).cpu()
    y = ours(x)
    assert relative_error(theirs(x), y) < 0.01
    assert relative_error(theirs.adjoint(y), ours.adjoint(y)) < 0.03


def test_torch_radon_says_that_it_is_not_matched_and_takes_our_adjoint(torch_radon):
    scan = {"image_shape": (16, 16), "num_angles": 5}
    ours = Radon(**scan)
    unmatched = Radon(**scan, backend="torch-radon")
    assert ours.is_matched
    assert not unmatched.is_matched
    half = Radon(**scan, backend="torch-radon", adjoint_backend="auto")
    y = ours(phantom((16, 16)).cpu())
    assert torch.equal(half.adjoint(y), ours.adjoint(y))
    assert torch.equal(half(phantom((16, 16)).cpu()), unmatched(phantom((16, 16)).cpu()))
    assert not half.is_matched  # their projection is not Joseph's to rounding


def test_torch_radons_limits_are_told(torch_radon):
    with pytest.raises(ValueError, match="at most 4096 angles"):
        Radon((8, 8), num_angles=4097, backend="torch-radon")
    if torch_radon == "original":
        with pytest.raises(ValueError, match="square images only"):
            Radon((8, 9), num_angles=3, backend="torch-radon")
    else:
        assert Radon((8, 9), num_angles=3, backend="torch-radon").adjoint(torch.ones(1, 1, 3, 13)).shape[2:] == (8, 9)
