"""The Gaussian blur against scipy, and its kernel against the paper's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from operators import GaussianBlur

SCIPY_MODES = {"zero": "constant", "reflect": "mirror", "circular": "wrap"}


def gaussian_kernel(size, variance):
    distance = np.arange(size) - size // 2
    kernel = np.exp(-(distance[:, None] ** 2 + distance**2) / (2 * variance))
    return kernel / kernel.sum()


@pytest.mark.parametrize("shape", [(20, 17), (9, 9), (3, 30), (1, 1)])
@pytest.mark.parametrize(("size", "variance"), [(9, 5.0), (5, 25.0), (1, 1.0)])
@pytest.mark.parametrize("boundary", SCIPY_MODES)
def test_agrees_with_scipy(shape, size, variance, boundary):
    x = np.random.default_rng(0).standard_normal((2, 3, *shape))
    blurred = GaussianBlur(shape, size=size, variance=variance, boundary=boundary)(torch.from_numpy(x)).numpy()
    kernel = gaussian_kernel(size, variance)[None, None]
    np.testing.assert_allclose(blurred, ndimage.convolve(x, kernel, mode=SCIPY_MODES[boundary]), rtol=0, atol=1e-14)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(
    length=st.integers(1, 12),
    width=st.integers(1, 12),
    size=st.sampled_from([1, 3, 5, 9, 15]),
    boundary=st.sampled_from(sorted(SCIPY_MODES)),
)
def test_adjoint_is_exact_however_far_the_kernel_reaches_outside(length, width, size, boundary):
    operator = GaussianBlur((length, width), channels=1, size=size, boundary=boundary)
    basis = torch.eye(length * width, dtype=torch.float64).view(-1, 1, length, width)
    forward, adjoint = (apply(basis).flatten(1) for apply in (operator, operator.adjoint))
    torch.testing.assert_close(adjoint, forward.T, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("boundary", "expected"), [("zero", False), ("reflect", True), ("circular", True)])
def test_what_stands_outside_decides_whether_a_flat_image_stays_flat(boundary, expected):
    flat = torch.ones(1, 3, 6, 7, dtype=torch.float64)
    assert torch.allclose(GaussianBlur((6, 7), boundary=boundary)(flat), flat) == expected


def test_kernel_is_the_papers():
    kernel = GaussianBlur((8, 8)).kernel
    assert kernel.shape == (9, 9)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(kernel.numpy(), gaussian_kernel(9, 5.0), rtol=1e-6)


def test_an_impulse_shows_the_kernel_in_its_channel_only():
    x = torch.zeros(1, 3, 15, 15)
    x[0, 1, 7, 7] = 1
    operator = GaussianBlur((15, 15))
    y = operator(x)
    torch.testing.assert_close(y[0, 1, 3:12, 3:12], operator.kernel, rtol=1e-6, atol=0)
    assert float(y[0, 1].sum()) == pytest.approx(1, abs=1e-6)
    assert not y[0, 0].any()
    assert not y[0, 2].any()


@pytest.mark.parametrize("boundary", ["zero", "circular"])
def test_equals_its_adjoint(boundary):
    y = torch.randn(2, 3, 11, 6, generator=torch.Generator().manual_seed(0))
    operator = GaussianBlur((11, 6), boundary=boundary)
    assert torch.equal(operator.adjoint(y), operator(y))


@pytest.mark.parametrize(("channels", "size", "count"), [(3, 9, 243), (1, 9, 81), (3, 5, 75)])
def test_frozen_values_are_one_square_kernel_a_channel(channels, size, count):
    assert GaussianBlur((8, 8), channels=channels, size=size).frozen_values == count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 8}, "odd"),
        ({"size": 0}, "size"),
        ({"size": 2.5}, "size"),
        ({"variance": 0.0}, "variance"),
        ({"variance": float("nan")}, "variance"),
        ({"channels": 0}, "channels"),
        ({"boundary": "mirror"}, "boundary must be one of zero, reflect, circular, got 'mirror'"),
        ({"boundary": "reflekt"}, "did you mean 'reflect'"),
        ({"boundary": None}, "boundary must be one of"),
    ],
)
def test_impossible_kernels_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianBlur((8, 8), **arguments)
