"""The Gaussian blur against scipy, and its kernel against the paper's."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from operators import GaussianBlur


def gaussian_kernel(size, variance):
    distance = np.arange(size) - size // 2
    kernel = np.exp(-(distance[:, None] ** 2 + distance**2) / (2 * variance))
    return kernel / kernel.sum()


@pytest.mark.parametrize("shape", [(20, 17), (9, 9), (3, 30), (1, 1)])
@pytest.mark.parametrize(("size", "variance"), [(9, 5.0), (5, 25.0), (1, 1.0)])
def test_agrees_with_scipy_under_a_zero_boundary(shape, size, variance):
    x = np.random.default_rng(0).standard_normal((2, 3, *shape))
    blurred = GaussianBlur(shape, size=size, variance=variance)(torch.from_numpy(x)).numpy()
    kernel = gaussian_kernel(size, variance)[None, None]
    np.testing.assert_allclose(blurred, ndimage.convolve(x, kernel, mode="constant"), rtol=0, atol=1e-14)


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


def test_equals_its_adjoint():
    y = torch.randn(2, 3, 11, 6, generator=torch.Generator().manual_seed(0))
    operator = GaussianBlur((11, 6))
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
    ],
)
def test_impossible_kernels_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianBlur((8, 8), **arguments)
