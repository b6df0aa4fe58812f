"""The subsampled Fourier transform against numpy, and its mask against fastMRI's conventions."""

import numpy as np
import pytest
import torch

from operators import SubsampledFourier

AXES = (-2, -1)


def centred_fft(image):
    shifted = np.fft.ifftshift(image, axes=AXES)
    return np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=AXES)


def as_complex(x):
    return x[:, 0].numpy() + 1j * x[:, 1].numpy()


def random_image(shape, batch=3):
    return torch.randn(batch, 2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (6, 11), (1, 5)])
def test_agrees_with_numpys_centred_fft_on_kept_columns(shape):
    operator = SubsampledFourier(shape, acceleration=2)
    x = random_image(shape)
    expected = centred_fft(as_complex(x)) * operator.sampling_mask.numpy()
    np.testing.assert_allclose(operator(x).numpy(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (6, 11)])
def test_agrees_with_numpy_in_single_precision_after_double(shape):
    operator, x = SubsampledFourier(shape, acceleration=2), random_image(shape)
    operator(x)  # phases are kept for each precision
    single = operator(x.float())
    assert single.dtype == torch.complex64
    torch.testing.assert_close(single.to(torch.complex128), operator(x), rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7)])
def test_a_full_mask_is_unitary(shape):
    operator = SubsampledFourier(shape, mask=torch.ones(shape[1], dtype=torch.bool))
    x = random_image(shape)
    torch.testing.assert_close(operator.adjoint(operator(x)), x)
    assert float(operator(x).abs().square().sum()) == pytest.approx(float(x.square().sum()))
    assert operator.norm() == pytest.approx(1, abs=1e-5)


def test_unkept_columns_are_zero_and_ignored_by_the_adjoint():
    operator = SubsampledFourier((16, 16))
    dropped = ~operator.sampling_mask
    assert not operator(random_image((16, 16)))[..., dropped].any()
    y = torch.randn(2, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    cleared, broken = torch.where(dropped, 0, y), torch.where(dropped, torch.nan, y)
    assert torch.equal(operator.adjoint(y), operator.adjoint(cleared))
    assert torch.equal(operator.adjoint(y), operator.adjoint(broken))


def test_samples_and_parts_are_not_mixed_by_the_shifts():
    x = torch.zeros(4, 2, 8, 8)
    x[2, 1, 4, 4] = 1  # an imaginary impulse at the centre, in one sample
    y = SubsampledFourier((8, 8), mask=torch.ones(8, dtype=torch.bool))(x)
    torch.testing.assert_close(y[2], torch.full((8, 8), 1j / 8, dtype=torch.complex64))
    assert not y[[0, 1, 3]].any()


def test_real_k_space_is_refused():
    with pytest.raises(ValueError, match="complex64 or complex128"):
        SubsampledFourier((8, 16)).adjoint(torch.zeros(1, 8, 16))
