import math

import numpy as np
import pytest
import torch

from bench.tasks.metrics import psnr_db, ssim


def flat(value, channels=1, size=16):
    return torch.full((channels, size, size), value)


@pytest.mark.parametrize(("data_range", "expected"), [("unit", 20.0), ("truth-maximum", 20 + 20 * math.log10(0.8))])
def test_psnr_of_a_known_error(data_range, expected):
    truth = flat(0.8)
    assert psnr_db(truth - 0.1, truth, data_range=data_range) == pytest.approx(expected, abs=1e-4)


def test_psnr_against_the_span_of_the_truth():
    truth = flat(0.25)
    truth[0, 0, 0] = 0.75
    assert psnr_db(truth + 0.05, truth, data_range="truth-span") == pytest.approx(20, abs=1e-4)


def test_psnr_averages_the_squared_error_over_channels():
    truth = flat(0.5, channels=3)
    image = truth.clone()
    image[0] += 0.1
    assert psnr_db(image, truth) == pytest.approx(20 + 10 * math.log10(3), abs=1e-4)


@pytest.mark.parametrize("metric", [psnr_db, ssim])
def test_values_outside_the_display_are_clipped(metric):
    truth = torch.rand((1, 16, 16), generator=torch.Generator().manual_seed(0)).round()
    wild = truth + (truth - 0.5) * 3
    assert metric(wild, truth) == metric(truth, truth)
    assert metric(truth, wild) == metric(truth, truth)


def test_equal_images_are_perfect():
    truth = torch.rand((3, 20, 20), generator=torch.Generator().manual_seed(0))
    assert psnr_db(truth, truth) == math.inf
    assert ssim(truth, truth) == pytest.approx(1)


def test_a_black_truth_has_a_finite_score():
    for data_range in ("truth-maximum", "truth-span"):
        assert psnr_db(flat(0.1), flat(0.0), data_range=data_range) == pytest.approx(20, abs=1e-4)
        assert 0 < ssim(flat(0.1), flat(0.0), data_range=data_range) < 1


@pytest.mark.parametrize(("data_range", "size"), [("unit", 1.0), ("truth-maximum", 0.5)])
def test_ssim_of_flat_images_is_its_luminance_term(data_range, size):
    constant = (0.01 * size) ** 2
    expected = (2 * 0.5 * 0.3 + constant) / (0.5**2 + 0.3**2 + constant)
    assert ssim(flat(0.3), flat(0.5), data_range=data_range) == pytest.approx(expected, rel=1e-5)


def test_ssim_is_the_mean_over_windows_of_seven_pixels():
    generator = torch.Generator().manual_seed(1)
    truth, image = torch.rand((2, 2, 9, 11), generator=generator)

    def windows(channels):
        return channels.double().numpy()[:, None], np.lib.stride_tricks.sliding_window_view(
            channels.double().numpy(), (7, 7), axis=(1, 2)
        ).reshape(2, -1, 49)

    (_, x), (_, y) = windows(image), windows(truth)
    mean_x, mean_y, var_x, var_y = x.mean(-1), y.mean(-1), x.var(-1, ddof=1), y.var(-1, ddof=1)
    cov = ((x - mean_x[..., None]) * (y - mean_y[..., None])).sum(-1) / 48
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    assert ssim(image, truth) == pytest.approx(index.mean(), rel=1e-6)


@pytest.mark.parametrize("metric", [psnr_db, ssim])
def test_images_of_two_shapes_cannot_be_compared(metric):
    with pytest.raises(ValueError, match="dimensions"):
        metric(flat(0.5), flat(0.5, size=17))


def test_an_image_below_the_window_is_refused():
    with pytest.raises(ValueError, match="win_size"):
        ssim(flat(0.5, size=6), flat(0.5, size=6))
