"""The subsampled Fourier transform against numpy, and its mask against fastMRI's conventions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
    cleared = torch.where(dropped, 0, y)
    assert torch.equal(operator.adjoint(y), operator.adjoint(cleared))


def test_samples_and_parts_are_not_mixed_by_the_shifts():
    x = torch.zeros(4, 2, 8, 8)
    x[2, 1, 4, 4] = 1  # an imaginary impulse at the centre, in one sample
    y = SubsampledFourier((8, 8), mask=torch.ones(8, dtype=torch.bool))(x)
    torch.testing.assert_close(y[2], torch.full((8, 8), 1j / 8, dtype=torch.complex64))
    assert not y[[0, 1, 3]].any()


@pytest.mark.parametrize(
    ("width", "acceleration", "kept", "center"),
    [(320, 4, 80, 26), (320, 8, 40, 13), (368, 4, 92, 29), (372, 8, 46, 15), (64, 4, 16, 5), (16, 8, 2, 1)],
)
def test_mask_counts_are_the_papers_and_fastmris(width, acceleration, kept, center):
    mask = SubsampledFourier((4, width), acceleration).sampling_mask
    assert mask.shape == (width,)
    assert mask.dtype == torch.bool
    assert int(mask.sum()) == kept
    first = (width - center + 1) // 2
    assert mask[first : first + center].all()
    assert first <= width // 2 < first + center


@settings(derandomize=True, deadline=None, max_examples=60)
@given(width=st.integers(1, 400), acceleration=st.floats(1, 16), seed=st.integers(0, 9))
def test_mask_counts_are_exact_at_any_width(width, acceleration, seed):
    kept = round(width / acceleration)
    if kept == 0:
        with pytest.raises(ValueError, match="keeps none"):
            SubsampledFourier((1, width), acceleration, seed=seed)
    else:
        mask = SubsampledFourier((1, width), acceleration, seed=seed).sampling_mask
        assert int(mask.sum()) == kept
        assert mask[width // 2]


def test_the_seed_alone_decides_the_mask():
    masks = [SubsampledFourier((8, 128), seed=seed).sampling_mask for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    tall = SubsampledFourier((200, 128), seed=0).sampling_mask
    assert torch.equal(masks[0], tall)


def test_every_outer_column_can_be_drawn():
    drawn = torch.stack([SubsampledFourier((1, 32), seed=seed).sampling_mask for seed in range(100)])
    assert drawn.any(dim=0).all()


@pytest.mark.parametrize("form", [np.asarray, torch.as_tensor, list])
def test_a_given_mask_is_used_and_copied(form):
    columns = np.array([True, False, True, False])
    given_mask = form(columns)
    operator = SubsampledFourier((3, 4), mask=given_mask)
    given_mask[1] = True
    assert operator.sampling_mask.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acceleration": 0.5}, "at least 1"),
        ({"acceleration": float("nan")}, "at least 1"),
        ({"acceleration": 100}, "keeps none"),
        ({"center_fraction": -0.1}, "center_fraction"),
        ({"center_fraction": 1.1}, "center_fraction"),
        ({"center_fraction": 0.9}, "only 4 are kept"),
        ({"mask": torch.ones(15, dtype=torch.bool)}, "mask must be bool"),
        ({"mask": torch.ones(16)}, "mask must be bool"),
        ({"mask": torch.ones(1, 16, dtype=torch.bool)}, "mask must be bool"),
        ({"mask": torch.zeros(16, dtype=torch.bool)}, "keeps no column"),
    ],
)
def test_impossible_masks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SubsampledFourier((8, 16), **arguments)


def test_real_k_space_is_refused():
    with pytest.raises(ValueError, match="complex64 or complex128"):
        SubsampledFourier((8, 16)).adjoint(torch.zeros(1, 8, 16))
