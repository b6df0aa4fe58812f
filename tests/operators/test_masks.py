"""The sampled columns of k-space, against fastMRI's conventions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import SubsampledFourier


def equispaced(width, acceleration, seed):
    return SubsampledFourier((1, width), acceleration, seed=seed, kind="equispaced").sampling_mask


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


@pytest.mark.parametrize(("width", "acceleration", "center"), [(320, 4, 26), (368, 8, 15), (640, 4, 51), (15, 4, 1)])
def test_equispaced_columns_are_fastmris(width, acceleration, center):
    # fastMRI's EquispacedMaskFractionFunc, given its offset.
    spacing = acceleration * (center - width) / (center * acceleration - width)
    expected = np.zeros((round(spacing), width), dtype=bool)
    pad = (width - center + 1) // 2
    expected[:, pad : pad + center] = True
    for offset, row in enumerate(expected):
        row[np.around(np.arange(offset, width - 1, spacing)).astype(int)] = True
    drawn = {seed: equispaced(width, acceleration, seed).numpy() for seed in range(60)}
    assert {mask.tobytes() for mask in drawn.values()} == {row.tobytes() for row in expected}


@settings(derandomize=True, deadline=None, max_examples=60)
@given(width=st.integers(16, 400), acceleration=st.floats(1.5, 12), seed=st.integers(0, 9))
def test_equispaced_columns_have_the_acceleration_and_even_gaps(width, acceleration, seed):
    mask = equispaced(width, acceleration, seed)
    assert abs(int(mask.sum()) - width / acceleration) <= 3
    assert mask[width // 2]
    center = max(1, round(width * 0.32 / acceleration))
    budget = width - acceleration * center
    gaps = mask[: (width - center) // 2].nonzero()[:, 0].diff()
    if budget > 0 and len(gaps):
        assert (gaps - acceleration * (width - center) / budget).abs().max() <= 1


def fastmris(width, acceleration, center_fraction, seed):
    """fastMRI's RandomMaskFunc([center_fraction], [acceleration]), as it draws from a generator of its own."""
    generator = np.random.mtrand.RandomState()
    generator.seed(seed)
    assert generator.randint(1) == 0  # which of its pairs
    center = round(width * center_fraction)
    mask = np.zeros(width, dtype=bool)
    pad = (width - center + 1) // 2
    mask[pad : pad + center] = True
    return mask | (generator.uniform(size=width) < (width / acceleration - center) / (width - center))


@pytest.mark.parametrize(("acceleration", "center_fraction"), [(4, 0.08), (8, 0.04)])
@pytest.mark.parametrize("width", [320, 368, 372, 640, 15])
def test_fastmris_masks_are_its_own_for_a_seed_and_for_a_file(width, acceleration, center_fraction):
    for seed, its_seed in ((0, 0), (42, 42), *((name, tuple(map(ord, name))) for name in ("file1000000.h5", "a.h5"))):
        mask = SubsampledFourier((1, width), acceleration, seed=seed, kind="fastmri").sampling_mask
        assert mask.tolist() == fastmris(width, acceleration, center_fraction, its_seed).tolist()
        given = SubsampledFourier((1, width), acceleration, center_fraction, seed, kind="fastmri").sampling_mask
        assert torch.equal(mask, given)


def test_fastmris_mask_of_a_known_seed():
    # The first numbers of RandomState(0) are .549, .715, .603, .545, .424, .646, .438, .892, .964, .383, .792, .529.
    mask = SubsampledFourier((1, 12), 2, center_fraction=0.0, kind="fastmri").sampling_mask
    assert mask.nonzero()[:, 0].tolist() == [4, 6, 9]


def test_fastmris_masks_have_the_acceleration_on_average():
    counts = [int(SubsampledFourier((1, 368), 4, seed=seed, kind="fastmri").sampling_mask.sum()) for seed in range(300)]
    assert np.mean(counts) == pytest.approx(92, abs=2)
    assert len(set(counts)) > 10


def test_a_mask_without_a_column_and_seeds_of_another_kind_are_refused():
    seeds = [seed for seed in range(40) if not fastmris(4, 4, 0.08, seed).any()]
    assert seeds
    with pytest.raises(ValueError, match=f"seed {seeds[0]} keeps none of 4 columns"):
        SubsampledFourier((1, 4), seed=seeds[0], kind="fastmri")


@pytest.mark.parametrize("kind", ["random", "equispaced", "fastmri"])
def test_a_centre_that_takes_all_columns_leaves_none_to_draw(kind):
    mask = SubsampledFourier((1, 16), 4, center_fraction=0.25, kind=kind).sampling_mask
    assert mask.nonzero()[:, 0].tolist() == [6, 7, 8, 9]


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


@pytest.mark.parametrize("kind", ["random", "equispaced", "fastmri"])
def test_the_seed_alone_decides_the_mask(kind):
    masks = [SubsampledFourier((8, 128), seed=seed, kind=kind).sampling_mask for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    tall = SubsampledFourier((200, 128), seed=0, kind=kind).sampling_mask
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
        (
            {"kind": "equispacd"},
            "kind must be one of random, equispaced, fastmri, got 'equispacd'; did you mean 'equispaced'",
        ),
        ({"kind": "poisson"}, "kind must be one of random, equispaced"),
        ({"seed": "file1.h5"}, "seed must be an integer, got 'file1.h5'; only kind 'fastmri'"),
        ({"seed": "", "kind": "fastmri"}, "seed must be an integer or a file's name"),
        ({"mask": torch.ones(15, dtype=torch.bool)}, "mask must be bool"),
        ({"mask": torch.ones(16)}, "mask must be bool"),
        ({"mask": torch.ones(1, 16, dtype=torch.bool)}, "mask must be bool"),
        ({"mask": torch.zeros(16, dtype=torch.bool)}, "keeps no column"),
    ],
)
def test_impossible_masks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SubsampledFourier((8, 16), **arguments)
