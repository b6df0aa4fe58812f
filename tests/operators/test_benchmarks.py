"""How long the Radon transform takes at the paper's size, beside scikit-image's: use --benchmark-enable."""

import numpy as np
import pytest
import torch
from skimage.transform import iradon
from skimage.transform import radon as skimage_radon

from operators import Radon

SIZE, NUM_ANGLES, NUM_DETECTORS = 362, 200, 513
THETA = np.arange(NUM_ANGLES) * 180 / NUM_ANGLES


@pytest.fixture(scope="module")
def operator():
    return Radon((SIZE, SIZE), NUM_ANGLES, NUM_DETECTORS)


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def time_it(benchmark, function, rounds=10):
    return benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.benchmark(group="radon-forward")
def test_forward(benchmark, operator, batch):
    x = random(batch, 1, SIZE, SIZE)
    sinogram = time_it(benchmark, lambda: operator(x))
    assert sinogram.shape == (batch, 1, NUM_ANGLES, NUM_DETECTORS)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.benchmark(group="radon-adjoint")
def test_adjoint(benchmark, operator, batch):
    y = random(batch, 1, NUM_ANGLES, NUM_DETECTORS)
    image = time_it(benchmark, lambda: operator.adjoint(y))
    assert image.shape == (batch, 1, SIZE, SIZE)


@pytest.mark.benchmark(group="radon-forward")
def test_scikit_image_forward(benchmark):
    image = random(SIZE, SIZE).numpy()
    sinogram = time_it(benchmark, lambda: skimage_radon(image, theta=THETA, circle=False), rounds=2)
    assert sinogram.shape[1] == NUM_ANGLES


@pytest.mark.benchmark(group="radon-adjoint")
def test_scikit_image_adjoint(benchmark):
    sinogram = random(NUM_DETECTORS, NUM_ANGLES).numpy()
    arguments = {"theta": THETA, "output_size": SIZE, "filter_name": None, "circle": False}
    image = time_it(benchmark, lambda: iradon(sinogram, **arguments), rounds=2)
    assert image.shape == (SIZE, SIZE)


@pytest.mark.benchmark(group="radon-build")
def test_build(benchmark):
    built = time_it(benchmark, lambda: Radon((SIZE, SIZE), NUM_ANGLES, NUM_DETECTORS), rounds=2)
    assert built.data_shape == (1, NUM_ANGLES, NUM_DETECTORS)
