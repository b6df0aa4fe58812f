"""Windows of training images: cut anywhere, and measured as the whole image would be."""

import math

import pytest
import torch

from bench.tasks import TASKS
from bench.tasks.windows import Windows, cut

CPU = torch.device("cpu")
WHOLE, WINDOW = (80, 80), (24, 24)


def numbers(seed=0):
    return torch.Generator().manual_seed(seed)


def images(task, shape=WHOLE, count=2):
    split = task.load_split(None, "train", image_shape=shape, count=count, seed=0)
    return [split[index].image for index in range(count)]


def test_cuts_are_everywhere_and_nowhere_else():
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(10.0), indexing="ij")
    image = (10 * rows + columns)[None]
    found = {cut(image, (4, 8), numbers(seed))[0, 0, 0].item() for seed in range(60)}
    assert found == {0.0, 1.0, 2.0, 10.0, 11.0, 12.0}
    with pytest.raises(ValueError, match=r"no window of \(6, 8\) in an image of \(5, 10\)"):
        cut(image, (6, 8), numbers())


@pytest.mark.parametrize("name", TASKS)
def test_a_window_as_large_as_the_image_is_the_image(name):
    task = TASKS[name]
    truth, y = task.windows_at((32, 32), (32, 32), CPU).measure(images(task, (32, 32)), numbers(1), numbers(2))
    assert torch.equal(truth, torch.stack(images(task, (32, 32))))
    assert torch.equal(y, task.measure(task.operator_at((32, 32), CPU), truth, numbers(2)))


@pytest.mark.parametrize("name", TASKS)
def test_windows_are_of_their_size_and_follow_from_the_seeds(name):
    task = TASKS[name]
    windows = task.windows_at(WHOLE, WINDOW, CPU)
    (truth, y), (again, y_again) = (windows.measure(images(task), numbers(1), numbers(2)) for _ in range(2))
    assert truth.shape == (2, task.channels, *WINDOW)
    assert y.shape == (2, *windows.operator.data_shape)
    assert torch.equal(truth, again)
    assert torch.equal(y, y_again)
    assert not torch.equal(windows.measure(images(task), numbers(3), numbers(2))[0], truth)


@pytest.mark.parametrize("name", TASKS)
def test_shrunk_images_are_whole_and_measured_by_a_smaller_scan(name):
    task = TASKS[name]
    windows = task.windows_at(WHOLE, WINDOW, CPU, shrunk=True)
    truth, y = windows.measure(images(task), numbers(1), numbers(2))
    assert windows.shape == WINDOW
    assert torch.allclose(truth.mean((-2, -1)), torch.stack(images(task)).mean((-2, -1)), atol=1e-5)
    assert torch.equal(y, task.measure(task.operator_at(WINDOW, CPU), truth, numbers(2)))
    assert torch.equal(truth, windows.measure(images(task), numbers(3), numbers(2))[0])


@pytest.mark.parametrize("name", ["deblur", "mri4x"])
def test_images_of_several_sizes_share_a_batch(name):
    task = TASKS[name]
    windows = task.windows_at(WINDOW, WINDOW, CPU)
    assert type(windows) is Windows
    several = [images(task, shape, 1)[0] for shape in ((40, 30), (24, 56))]
    truth, y = windows.measure(several, numbers(1), numbers(2))
    assert len(truth) == len(y) == 2


@pytest.mark.parametrize("seed", range(6))
def test_a_ct_window_has_the_rays_of_the_scan(seed):
    """What is seen of a slice that is empty outside a window is what the scan's nearest rays see."""
    task = TASKS["ct"]
    windows = task.windows_at(WHOLE, WINDOW, CPU)
    top, left = torch.randint(80 - 23, (2,), generator=numbers(seed)).tolist()
    rows, columns = torch.meshgrid(*2 * (torch.linspace(-1, 1, 24),), indexing="ij")
    blob = torch.exp(-((rows - 0.2) ** 2 + (columns + 0.1) ** 2) / 0.15)
    whole = torch.zeros(1, 1, *WHOLE)
    whole[..., top : top + 24, left : left + 24] = blob
    scan = task.operator_at(WHOLE, CPU)(whole)
    seen = windows.operator(blob[None, None])
    near = scan[0, 0].gather(1, windows._rays((top, left)))
    # The nearest ray is off by up to half a bin, which a blob of some bins' width shows as up to a tenth.
    assert (near - seen[0, 0]).abs().max() < 0.12 * seen.max()
    assert (near - seen[0, 0]).mean().abs() < 0.005 * seen.max()
    elsewhere = scan[0, 0].gather(1, windows._rays((top - 8, left + 8)).clamp(0, scan.shape[-1] - 1))
    assert (elsewhere - seen[0, 0]).abs().max() > 0.5 * seen.max()


def test_a_ct_window_has_the_noise_of_the_whole_slice():
    """Rays through the middle of a body are far noisier than those of a window alone would be."""
    task = TASKS["ct"]
    windows = task.windows_at(WHOLE, WINDOW, CPU)
    whole = [torch.full((1, *WHOLE), 0.35)]
    places, noise, scan = numbers(1), numbers(2), task.operator_at(WHOLE, CPU)
    truth, y = windows.measure(whole * 40, places, noise)
    grain = (y - windows.operator(truth)).std().item()
    alone = task.measure(windows.operator, truth, numbers(3)) - windows.operator(truth)
    full = task.measure(scan, whole[0][None].expand(10, -1, -1, -1), numbers(4)) - scan(whole[0][None])
    assert grain > 1.5 * alone.std().item()
    assert math.isclose(grain, full.std().item(), rel_tol=0.35)


def test_a_ct_window_keeps_the_scans_angles_bins_and_norm():
    task = TASKS["ct"]
    scan = task.operator_at(WHOLE, CPU)
    operator = task.windows_at(WHOLE, WINDOW, CPU).operator
    assert operator.data_shape[1] == scan.data_shape[1]
    assert operator.geometry.detector_spacing == scan.geometry.detector_spacing
    assert operator.geometry.pixel_size == scan.geometry.pixel_size
    assert operator.norm() == scan.norm()
    with pytest.raises(ValueError, match="finite and not negative"):
        operator.assume_norm(float("nan"))
