import math

import numpy as np
import pytest
import torch
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

from operators import Radon
from operators.radon.filtered_backprojection import filtered_backprojection

SIZE = 128


@pytest.fixture(scope="module")
def phantom():
    return torch.from_numpy(resize(shepp_logan_phantom(), (SIZE, SIZE), anti_aliasing=True)).float()[None, None]


def psnr(image, truth):
    return 10 * math.log10(1 / float((image - truth).square().mean()))


def scikit_image(truth, angles):
    theta = np.arange(angles) * 180 / angles
    sinogram = radon(truth[0, 0].numpy(), theta=theta, circle=False)
    image = iradon(sinogram, theta=theta, filter_name="ramp", circle=False, output_size=SIZE)
    return torch.from_numpy(image)[None, None]


@pytest.mark.parametrize("angles", [30, 60, 90, 180])
def test_linear_is_better_than_scikit_image(phantom, angles):
    operator = Radon((SIZE, SIZE), num_angles=angles)
    ours = filtered_backprojection(operator(phantom), operator, backprojection="linear")
    assert psnr(ours, phantom) > psnr(scikit_image(phantom, angles), phantom)


def test_linear_is_better_with_few_angles_and_the_adjoint_with_many(phantom):
    def gain(angles):
        operator = Radon((SIZE, SIZE), num_angles=angles)
        y = operator(phantom)
        linear = filtered_backprojection(y, operator, backprojection="linear")
        return psnr(linear, phantom) - psnr(filtered_backprojection(y, operator), phantom)

    assert gain(30) > 0.2
    assert gain(240) < 0


@pytest.mark.parametrize("backprojection", ["adjoint", "linear"])
@pytest.mark.parametrize(("shape", "spacing", "pixel_size"), [((40, 40), 0.7, 1.0), ((40, 30), 1.3, 0.5)])
def test_values_are_the_images_in_any_geometry(backprojection, shape, spacing, pixel_size):
    detectors = 2 * math.ceil(60 / spacing) + 1
    operator = Radon(shape, num_angles=90, num_detectors=detectors, detector_spacing=spacing, pixel_size=pixel_size)
    v, u = (torch.arange(side) - (side - 1) / 2 for side in shape)
    disk = ((v[:, None] - 2).square() + (u + 3).square() < 9**2).float()[None, None]
    image = filtered_backprojection(operator(disk), operator, backprojection=backprojection)
    inside = (v[:, None] - 2).square() + (u + 3).square() < 6**2
    assert float(image[0, 0][inside].mean()) == pytest.approx(1, abs=0.02)


def test_a_batch_is_its_images(phantom):
    operator = Radon((SIZE, SIZE), num_angles=12)
    y = operator(torch.cat((phantom, 2 * phantom.flip(-1))))
    both = filtered_backprojection(y, operator, backprojection="linear")
    one = filtered_backprojection(y[1:], operator, backprojection="linear")
    torch.testing.assert_close(both[1:], one, rtol=1e-5, atol=1e-6)


def test_a_detector_narrower_than_the_image_sees_nothing_beyond():
    operator = Radon((32, 32), num_angles=2, num_detectors=11, detector_spacing=1.0)
    image = filtered_backprojection(operator(torch.ones(1, 1, 32, 32)), operator, backprojection="linear")
    place = torch.arange(32) - 15.5
    offsets = [place * math.cos(angle) - place[:, None] * math.sin(angle) for angle in operator.angles]
    unseen = torch.stack(offsets).abs().amin(0) >= 6
    assert unseen.any()
    assert (image[0, 0][unseen] == 0).all()
    assert (image[0, 0][~unseen] != 0).any()


def test_an_unknown_backprojection_is_refused():
    operator = Radon((8, 8), num_angles=4)
    with pytest.raises(ValueError, match="did you mean 'linear'"):
        filtered_backprojection(operator(torch.ones(1, 1, 8, 8)), operator, backprojection="Linear")
