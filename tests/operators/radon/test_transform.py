"""The folded Radon transform against a plain Joseph matrix, analytic sinograms and scikit-image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import radon as skimage_radon

from operators import Radon

LODOPAB = (5 * np.arange(200) + 0.5) * np.pi / 1000
MIXED = np.concatenate([np.arange(8) * np.pi / 8, [0.1, 0.2, np.pi - 0.2, 0.3, np.pi / 2 - 0.3, 0.4, np.pi / 2 + 0.4]])
REPEATED = np.array([0, 0, 0, 0.3, 0.3, 0.3 + np.pi, np.pi / 2, np.pi, -0.3])


def hats(position, size):
    """Weights of linear interpolation at one position on a line of pixels that is zero beyond its ends."""
    return np.clip(1 - np.abs(np.arange(size) - position), 0, None)


def plain_joseph(shape, angles, num_detectors, spacing):
    """Joseph's matrix ray by ray, without any symmetry: (T * D, H * W)."""
    height, width = shape
    matrix = np.zeros((len(angles), num_detectors, height, width))
    for t, angle in enumerate(angles):
        cos, sin = np.cos(angle), np.sin(angle)
        for j in range(num_detectors):
            s = (j - (num_detectors - 1) / 2) * spacing
            if abs(cos) >= abs(sin):
                for row in range(height):
                    u = (s - ((height - 1) / 2 - row) * sin) / cos
                    matrix[t, j, row] += hats(u + (width - 1) / 2, width) / abs(cos)
            else:
                for column in range(width):
                    v = (s - (column - (width - 1) / 2) * cos) / sin
                    matrix[t, j, :, column] += hats((height - 1) / 2 - v, height) / abs(sin)
    return matrix.reshape(len(angles) * num_detectors, height * width)


def dense_pair(operator, dtype):
    """A and (A^T)^T as (T * D, H * W) matrices."""
    pixels = torch.eye(torch.Size(operator.image_shape).numel(), dtype=dtype)
    rays = torch.eye(torch.Size(operator.data_shape).numel(), dtype=dtype)
    forward = operator(pixels.view(-1, *operator.image_shape)).flatten(1).T
    return forward.numpy(), operator.adjoint(rays.view(-1, *operator.data_shape)).flatten(1).numpy()


def assert_is_plain_joseph(shape, angles, num_detectors, spacing):
    operator = Radon(shape, num_detectors=num_detectors, angles=angles, detector_spacing=spacing)
    expected = plain_joseph(shape, angles, num_detectors, spacing)
    scale = max(expected.max(), 1.0)
    for matrix in dense_pair(operator, torch.float64):
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12 * scale)
    single, transposed = dense_pair(operator, torch.float32)
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-6 * scale)
    np.testing.assert_array_equal(single, transposed)


@pytest.mark.parametrize("num_detectors", [10, 13])
@pytest.mark.parametrize("shape", [(10, 10), (11, 11), (7, 12), (1, 4), (1, 1)], ids=str)
@pytest.mark.parametrize(
    "angles",
    [np.arange(n) * np.pi / n for n in (1, 2, 3, 6, 7, 8)] + [LODOPAB[::20], MIXED, REPEATED],
    ids=[f"pi/{n}" for n in (1, 2, 3, 6, 7, 8)] + ["lodopab", "mixed", "repeated"],
)
def test_folding_changes_nothing(shape, angles, num_detectors):
    assert_is_plain_joseph(shape, angles, num_detectors, 1.1)


@pytest.mark.parametrize("angles", [np.arange(8) * np.pi / 8, MIXED], ids=["pi/8", "mixed"])
def test_folding_changes_nothing_across_tiles_and_ray_blocks(angles):
    assert_is_plain_joseph((20, 20), angles, 71, 0.4)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    angles=st.lists(st.floats(-7, 7), min_size=1, max_size=6),
    num_detectors=st.integers(1, 12),
    spacing=st.floats(0.2, 3),
)
def test_folding_changes_nothing_at_irregular_angles(shape, angles, num_detectors, spacing):
    assert_is_plain_joseph(shape, np.array(angles), num_detectors, spacing)


def stored_angles(operator):
    """Lanes of each group of representatives, and how many angles it stores."""
    return sorted((group.num_lanes, len(group.angles)) for group in operator.projector.groups)


@pytest.mark.parametrize(
    ("shape", "angles", "expected"),
    [
        ((16, 16), np.arange(200) * np.pi / 200, [(8, 51)]),
        ((16, 16), (np.arange(1000) + 0.5) * np.pi / 1000, [(8, 250)]),
        ((16, 16), LODOPAB, [(4, 100)]),
        ((16, 17), np.arange(200) * np.pi / 200, [(4, 101)]),
        ((16, 17), LODOPAB, [(2, 200)]),
        ((16, 16), np.arange(201) * np.pi / 201, [(4, 101)]),
        ((16, 16), np.sqrt(np.arange(1, 40)), [(2, 39)]),
    ],
    ids=["k pi/200", "all midpoints", "lodopab", "oblong", "oblong lodopab", "odd", "irregular"],
)
def test_symmetric_angles_share_storage(shape, angles, expected):
    assert stored_angles(Radon(shape, angles=angles)) == expected


def stored_bytes(operator):
    return sum(table.numel() * table.element_size() for table in operator.buffers())


@pytest.mark.parametrize(
    ("num_angles", "angles", "megabytes"),
    [(200, None, 150), (200, LODOPAB, 260), (1000, None, 600)],
    ids=["k pi/200", "lodopab", "k pi/1000"],
)
def test_tables_at_the_papers_size_stay_small(num_angles, angles, megabytes):
    operator = Radon((362, 362), num_angles=num_angles, num_detectors=513, angles=angles)
    shapes_alone = stored_bytes(operator)
    operator(torch.zeros(1, *operator.image_shape))
    assert 5 * shapes_alone < stored_bytes(operator) < megabytes * 1e6


@pytest.mark.parametrize("doubled", [{"num_angles": 160}, {"num_detectors": 181}], ids=["angles", "detectors"])
def test_work_grows_no_faster_than_the_scan(doubled):
    once = {"image_shape": (64, 64), "num_angles": 80, "num_detectors": 91, "detector_spacing": 0.5}
    work = []
    for change in ({}, doubled):
        operator = Radon(**(once | change))
        operator(torch.zeros(1, *operator.image_shape))  # the matrix is built when it is first used
        work.append(sum(group._single.forward_columns.numel() for group in operator.projector.groups))
    assert work[1] < 2.3 * work[0]


def disc(size, radius, center_u, center_v, oversampling=8):
    """A disc of height 1 with softened edges, (size, size); u to the right, v up, from the centre."""
    fine = (np.arange(size * oversampling) + 0.5) / oversampling - size / 2
    inside = (fine - center_u) ** 2 + (-fine[:, None] - center_v) ** 2 < radius**2
    return inside.reshape(size, oversampling, size, oversampling).mean(axis=(1, 3))


@pytest.mark.parametrize("angles", [None, LODOPAB[::10]], ids=["k pi/20", "lodopab"])
def test_a_disc_has_its_analytic_sinogram(angles):
    size, radius, u, v = 256, 60.0, 24.0, -35.5
    operator = Radon((size, size), num_angles=20, angles=angles, pixel_size=0.5)
    sinogram = operator(torch.from_numpy(disc(size, radius, u, v))[None, None])[0, 0].numpy()
    detectors = np.arange(operator.data_shape[2]) - (operator.data_shape[2] - 1) / 2
    s = detectors * operator.geometry.detector_spacing
    distance = s - (u * np.cos(operator.angles) + v * np.sin(operator.angles))[:, None]
    expected = 0.5 * 2 * np.sqrt(np.clip(radius**2 - distance**2, 0, None))
    assert np.linalg.norm(sinogram - expected) < 0.005 * np.linalg.norm(expected)


def test_a_point_is_seen_where_it_stands_with_its_mass():
    operator = Radon((21, 21), num_angles=16, num_detectors=481, detector_spacing=1 / 16)
    x = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    x[0, 0, 4, 17] = 1  # u = 7, v = 6
    sinogram = operator(x)[0, 0].numpy()
    s = (np.arange(481) - 240) / 16
    mass = sinogram.sum(axis=1) / 16
    np.testing.assert_allclose(mass, 1, atol=0.005)
    seen = (sinogram * s).sum(axis=1) / sinogram.sum(axis=1)
    np.testing.assert_allclose(seen, 7 * np.cos(operator.angles) + 6 * np.sin(operator.angles), atol=0.005)


def test_angle_zero_sums_columns_and_a_right_angle_sums_rows():
    image = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sinogram = Radon((6, 6), num_angles=2, num_detectors=6, detector_spacing=1.0)(image)[0, 0]
    torch.testing.assert_close(sinogram[0], image[0, 0].sum(dim=0))
    torch.testing.assert_close(sinogram[1], image[0, 0].sum(dim=1).flip(0))  # s = v points up


@pytest.mark.parametrize("angles", [np.arange(12) * np.pi / 12, np.array([0.2, 1.0, 2.1, 2.9])], ids=len)
def test_orientation_and_values_are_scikit_images(angles):
    size = 65  # odd: scikit-image then turns about the same centre
    grid = np.arange(size) - size // 2
    u, v = grid, -grid[:, None]
    image = np.exp(-((u - 9) ** 2 + (v - 5) ** 2) / 30) + 0.5 * np.exp(-((u + 10) ** 2) / 60 - (v - 12) ** 2 / 20)
    image[u**2 + v**2 > (size // 2) ** 2] = 0
    expected = skimage_radon(image, theta=np.degrees(angles), circle=True).T
    operator = Radon((size, size), num_detectors=size, angles=angles, detector_spacing=1.0)
    sinogram = operator(torch.from_numpy(image)[None, None])[0, 0].numpy()
    assert np.linalg.norm(sinogram - expected) < 0.01 * np.linalg.norm(expected)


def test_defaults_are_lodopabs_geometry():
    operator = Radon((362, 362), num_angles=4)
    assert operator.data_shape == (1, 4, 513)
    assert operator.geometry.detector_spacing * 513 == pytest.approx(362 * 2**0.5)
    np.testing.assert_allclose(operator.angles, np.arange(4) * np.pi / 4)


def test_pixel_size_scales_the_line_integrals():
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    metres = Radon((8, 8), num_angles=4, pixel_size=0.26 / 362)(x)
    torch.testing.assert_close(metres, Radon((8, 8), num_angles=4)(x) * (0.26 / 362))
