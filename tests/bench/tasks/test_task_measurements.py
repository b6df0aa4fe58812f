"""Noise and geometry of each task, against the numbers that define them."""

import math

import numpy as np
import pytest
import torch
from skimage.draw import disk

from bench.tasks import TASKS
from bench.tasks.ct import ATTENUATION_PER_M, PHOTONS
from bench.tasks.metrics import ssim
from models.base import gradient_step, starting_image

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_deblurring_noise_is_white_with_a_hundredth_of_the_range():
    task = TASKS["deblur"]
    operator = task.operator_at((64, 64), CPU)
    images = torch.rand((4, 3, 64, 64), generator=seeded(1))
    noise = task.measure(operator, images, seeded()) - operator(images)
    assert noise.std() == pytest.approx(0.01, rel=0.02)
    assert abs(float(noise.mean())) < 2e-4
    neighbours = torch.corrcoef(torch.stack([noise[..., 1:].flatten(), noise[..., :-1].flatten()]))
    assert abs(float(neighbours[0, 1])) < 0.03


@pytest.mark.parametrize("name", ["mri4x", "mri8x"])
def test_mri_noise_is_white_on_the_sampled_columns_and_absent_elsewhere(name):
    task = TASKS[name]
    operator = task.operator_at((96, 128), CPU)
    images = torch.randn((8, 2, 96, 128), generator=seeded(1)) / 4
    y = task.measure(operator, images, seeded())
    mask = operator.sampling_mask
    assert mask.sum() == 128 // int(name[3])
    assert not y[..., ~mask].any()
    noise = torch.view_as_real((y - operator(images))[..., mask])
    np.testing.assert_allclose(noise.std(dim=(0, 1, 2)), [0.002, 0.002], rtol=0.02)
    assert torch.corrcoef(noise.flatten(0, -2).T)[0, 1].abs() < 0.03


def test_accelerations_share_the_images_but_not_the_mask():
    masks = [TASKS[name].operator_at((32, 32), CPU).sampling_mask for name in ("mri4x", "mri8x")]
    assert masks[0].sum() == 2 * masks[1].sum() == 8
    splits = [TASKS[name].load_split(None, "test", image_shape=(16, 16), count=1, seed=0) for name in TASKS]
    assert torch.equal(splits[2][0].image, splits[3][0].image)


def disc(size, diameter_m, value):
    """A centred disc of a given diameter in a field of 0.26 m: (1, 1, size, size)."""
    image = np.zeros((size, size), dtype=np.float32)
    image[disk(((size - 1) / 2, (size - 1) / 2), diameter_m / 0.26 * size / 2)] = value
    return torch.from_numpy(image)[None, None]


def test_the_papers_ct_geometry_is_every_fifth_angle_of_lodopab():
    operator = TASKS["ct"].make_operator()
    lodopab = (np.arange(1000) + 0.5) * math.pi / 1000
    assert operator.data_shape == (1, 200, 513)
    np.testing.assert_allclose(operator.angles, lodopab[::5], rtol=1e-12)
    geometry = operator.geometry
    assert geometry.pixel_size == pytest.approx(0.26 / 362)
    # The detector spans the diagonal of the field: 0.1838 m to either side.
    bins_m = geometry.detector_spacing * geometry.pixel_size * 513
    assert bins_m / 2 == pytest.approx(0.1838, abs=1e-4)


@pytest.mark.parametrize(("size", "angles", "detectors"), [(32, 24, 45), (64, 36, 91), (128, 72, 181), (181, 100, 257)])
def test_smaller_ct_images_keep_the_field_of_view(size, angles, detectors):
    operator = TASKS["ct"].operator_at((size, size), CPU)
    assert operator.data_shape == (1, angles, detectors)
    np.testing.assert_allclose(operator.angles, (np.arange(angles) + 0.1) * math.pi / angles)
    sinogram = operator(disc(size, 0.2, 0.25))
    # Through its centre a disc of 0.2 m is 0.2 m thick, seen from every angle.
    np.testing.assert_allclose(sinogram.amax(dim=-1), 0.2 * 0.25, rtol=0.06)


def test_ct_noise_is_that_of_4096_photons():
    task = TASKS["ct"]
    operator = task.operator_at((64, 64), CPU)
    images = disc(64, 0.2, 0.25).repeat(20, 1, 1, 1)
    clean = operator(images)
    y = task.measure(operator, images, seeded())
    photons = PHOTONS * torch.exp(-ATTENUATION_PER_M * y.double())
    assert (photons - photons.round()).abs().max() < 0.02  # measurements are logarithms of whole photons
    expected = PHOTONS * torch.exp(-ATTENUATION_PER_M * clean.double())
    deviation = (photons - expected) / expected.sqrt()
    assert deviation.std() == pytest.approx(1, abs=0.02)
    assert abs(float(deviation.mean())) < 0.02
    assert y[clean == 0].std() == pytest.approx(1 / 64 / ATTENUATION_PER_M, rel=0.03)


def test_ct_rays_that_lose_every_photon_count_a_tenth_of_one():
    task = TASKS["ct"]
    operator = task.operator_at((32, 32), CPU)
    y = task.measure(operator, 10 * disc(32, 0.26, 1.0), seeded())
    assert y.max() == pytest.approx(-math.log(0.1 / 4096) / 81.35858, rel=1e-6)
    assert torch.isfinite(y).all()


def test_diffraction_noise_is_a_hundredth_of_the_incident_wave_in_both_parts():
    task = TASKS["diffraction"]
    operator = task.operator_at((64, 64), CPU)
    images = torch.rand((4, 1, 64, 64), generator=seeded(1))
    noise = torch.view_as_real(task.measure(operator, images, seeded()) - operator(images))
    np.testing.assert_allclose(noise.std(dim=(0, 1, 2)), [0.01, 0.01], rtol=0.03)
    assert torch.corrcoef(noise.flatten(0, -2).T)[0, 1].abs() < 0.03


@pytest.fixture
def chests():
    phantoms = TASKS["diffraction"].load_split(None, "test", image_shape=(48, 48), count=4, seed=0)
    return torch.stack([item.image for item in phantoms])


def test_diffraction_is_as_far_from_linear_as_its_docstring_says(chests):
    operator, images = TASKS["diffraction"].operator_at((48, 48), CPU), chests.double()
    born, exact = 1e4 * operator(1e-4 * images), operator(images)
    assert 0.4 < float((exact - born).norm() / exact.norm()) < 0.6


def test_steps_of_data_consistency_alone_gain_decibels_on_diffraction(chests):
    task = TASKS["diffraction"]
    operator = task.operator_at((48, 48), CPU)
    y = task.measure(operator, chests, seeded())
    x = starting_image(y, operator)
    start = task.metrics["psnr_db"](x, chests)
    for _ in range(20):
        x = gradient_step(x, y, operator, torch.tensor(1.0))
    assert task.metrics["psnr_db"](x, chests) > start + 5 > 15 + 5


@pytest.mark.parametrize(("layout", "opens"), [("list", "celeba"), ("images", "celeba"), ("plain", "folder")])
def test_deblurring_tells_celeba_from_a_folder_of_photographs(tmp_path, write_photo, layout, opens):
    write_photo(tmp_path / "train" / "plain.png")
    if layout == "list":
        (tmp_path / "list_eval_partition.txt").write_text("face.jpg 0\n")
    if layout == "images":
        write_photo(tmp_path / "img_align_celeba" / "face.jpg")

    def first():
        return TASKS["deblur"].load_split(tmp_path, "train", image_shape=(16, 16), count=1, seed=0)[0].name

    if opens == "folder":
        assert first() == "plain.png"
    else:  # half of CelebA: the missing half is named instead of reading train/
        with pytest.raises(ValueError, match="img_align_celeba" if layout == "list" else "list_eval_partition"):
            first()
        write_photo(tmp_path / "img_align_celeba" / "face.jpg")
        (tmp_path / "list_eval_partition.txt").write_text("face.jpg 0\n")
        assert first() == "face.jpg"


def test_mri_shows_magnitudes():
    image = torch.tensor([0.3, 0.4]).reshape(2, 1, 1)
    assert TASKS["mri4x"].display(image).item() == pytest.approx(0.5)


def test_every_task_is_graded_by_its_data_sets_convention_and_by_the_others_that_are_in_use():
    truth = torch.full((1, 16, 16), 0.5)
    truth[:, :8] = 0.1
    image = truth - 0.05
    scores = {name: task.metrics["psnr_db"](image, truth) for name, task in TASKS.items()}
    assert scores == {name: pytest.approx(20 + 20 * math.log10(2), abs=1e-3) for name in TASKS}
    by_slice, by_span = TASKS["mri4x"].metrics, TASKS["ct"].metrics
    assert by_slice["psnr_slice_db"](image, truth) == pytest.approx(20, abs=1e-3)
    assert by_span["psnr_span_db"](image, truth) == pytest.approx(20 + 20 * math.log10(0.8), abs=1e-3)
    assert by_slice["ssim_slice"](image, truth) == pytest.approx(ssim(image, truth, data_range="truth-maximum"))
    assert by_span["ssim_span"](image, truth) == pytest.approx(ssim(image, truth, data_range="truth-span"))
