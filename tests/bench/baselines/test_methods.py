"""Reference methods against scikit-image's, and that their settings come from validation images alone."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse
from skimage.restoration import denoise_tv_chambolle
from skimage.transform import iradon

import bench.baselines.methods as methods
from bench.baselines.cells import reference_cells
from bench.baselines.methods import REFERENCES, MeasuredSplit, Reference, finer_weights, grade, tune
from bench.baselines.total_variation import _differences, _differences_adjoint, total_variation
from bench.evaluation.grading import NOISE_SEED, evaluate
from bench.tasks import PAPER_TASKS, TASKS
from bench.tasks.scales import Scale
from models import MODELS
from operators import Diffraction, Radon, from_scipy
from operators.radon.filtered_backprojection import filtered_backprojection

CPU = torch.device("cpu")
SHAPE = (24, 24)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def split_of(name, split="validation", count=3, seed=NOISE_SEED):
    task = TASKS[name]
    operator = task.operator_at(SHAPE, CPU)
    images = task.load_split(None, split, image_shape=SHAPE, count=count, seed=0)
    return task, operator, images, MeasuredSplit.of(task, operator, images, seed, CPU)


def identity(channels=1, side=16):
    return from_scipy(sparse.identity(channels * side * side, format="csr"), image_shape=(channels, side, side))


def test_denoising_is_scikit_images():
    noisy = torch.rand((2, 1, 16, 16), generator=seeded(), dtype=torch.float64)
    ours = total_variation(noisy.flatten(1), identity(), weight=0.1, steps=3000)
    theirs = [denoise_tv_chambolle(image[0].numpy(), weight=0.1, eps=1e-10, max_num_iter=5000) for image in noisy]
    assert np.abs(ours[:, 0].numpy() - np.stack(theirs)).max() < 2e-3


def test_difference_operators_are_adjoint():
    x = torch.randn((2, 3, 7, 5), generator=seeded(), dtype=torch.float64)
    edges = torch.randn((2, 3, 2, 7, 5), generator=seeded(1), dtype=torch.float64)
    left, right = (_differences(x) * edges).sum(), (x * _differences_adjoint(edges)).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-12)


def test_channels_share_their_edges():
    step = torch.zeros((1, 2, 16, 16), dtype=torch.float64)
    step[..., 8:] = 1.0
    flat = step.clone()
    flat[:, 1] = 0.0
    # Two equal channels have sqrt 2 times the variation of one, not twice: they lose less of their step.
    both, one = (total_variation(image.flatten(1), identity(2), weight=1.0, steps=2000) for image in (step, flat))
    height = [float(image[0, 0, 0, -1] - image[0, 0, 0, 0]) for image in (both, one)]
    assert height == pytest.approx([1 - 2 / 8 / math.sqrt(2), 1 - 2 / 8], abs=1e-3)


@pytest.mark.parametrize("name", PAPER_TASKS)
def test_no_image_depends_on_its_batch_mates_and_all_improve_on_the_start(name):
    task, operator, _, split = split_of(name)
    together = total_variation(split.y, operator, weight=2.0**-9, steps=60)
    alone = total_variation(split.y[1:2], operator, weight=2.0**-9, steps=60)
    assert torch.allclose(together[1:2], alone, atol=1e-5)
    gains = [
        np.mean([item.psnr_db - item.start_psnr_db for item in grade(REFERENCES["tv"], setting, task, operator, split)])
        for setting in ({"weight": 2.0**-9}, {"weight": 2.0**-13})
    ]
    assert max(gains) > (0.0 if name == "mri8x" else 0.2)  # three columns of k-space leave little to gain


def test_total_variation_refuses_what_it_cannot_solve():
    operator = Diffraction(image_shape=(16, 16))
    with pytest.raises(ValueError, match="linear"):
        total_variation(torch.zeros((1, *operator.data_shape), dtype=torch.complex64), operator, weight=0.1)
    with pytest.raises(ValueError, match="weight must not be negative"):
        total_variation(torch.zeros((1, 256)), identity(), weight=-1.0)


@pytest.mark.parametrize(("pixel_size", "spacing"), [(1.0, 1.0), (0.004, 0.7)])
def test_backprojection_gives_a_disc_its_value_in_any_unit(pixel_size, spacing):
    rows, columns = torch.meshgrid(*[torch.arange(64) - 31.5] * 2, indexing="ij")
    disc = 0.25 * ((rows - 4) ** 2 + (columns + 6) ** 2 < 15**2).float()
    operator = Radon((64, 64), num_angles=120, num_detectors=131, detector_spacing=spacing, pixel_size=pixel_size)
    image = filtered_backprojection(operator(disc[None, None]), operator)[0, 0]
    inside = (rows - 4) ** 2 + (columns + 6) ** 2 < 12**2
    outside = (rows - 4) ** 2 + (columns + 6) ** 2 > 18**2
    assert float(image[inside].mean()) == pytest.approx(0.25, rel=0.01)
    assert float(image[outside].abs().mean()) < 0.005


@pytest.mark.parametrize(("window", "name"), [("ram-lak", "ramp"), ("hann", "hann")])
def test_backprojection_is_scikit_images(window, name):
    angles = np.arange(60) * np.pi / 60
    operator = Radon((63, 63), angles=angles, num_detectors=63, detector_spacing=1.0)
    rows, columns = torch.meshgrid(*[torch.arange(63) - 31.0] * 2, indexing="ij")
    blobs = torch.exp(-((rows - 5) ** 2 + columns**2) / 60) + torch.exp(-(rows**2 + (columns - 9) ** 2) / 40)
    y = operator(blobs[None, None])
    ours = filtered_backprojection(y, operator, window)[0, 0].numpy()
    theirs = iradon(y[0, 0].numpy().T, np.degrees(angles), filter_name=name, circle=True)
    inside = (rows**2 + columns**2 < 29**2).numpy()
    # Both interpolate on their way back, each in its own way.
    assert np.linalg.norm((ours - theirs)[inside]) < 0.03 * np.linalg.norm(theirs[inside])


@pytest.mark.parametrize("setting", [{"window": "hamming"}, {"cutoff": 0.0}, {"cutoff": 1.5}])
def test_backprojection_refuses_unknown_filters(setting):
    operator = Radon((16, 16), num_angles=8)
    with pytest.raises(ValueError, match="ram-lak or hann"):
        filtered_backprojection(torch.zeros((1, *operator.data_shape)), operator, **setting)


def test_the_best_setting_of_the_grid_is_taken():
    task, operator, _, split = split_of("deblur")
    shades = Reference(
        reconstruct=lambda y, operator, setting: split.truth + setting["offset"],
        applies=lambda operator: True,
        grid=({"offset": 0.2}, {"offset": 0.05}, {"offset": 0.1}),
    )
    setting, points = tune(shades, task, operator, split)
    assert setting == {"offset": 0.05}
    assert [point.setting for point in points] == list(shades.grid)


def tuned(score, lowest=-14, highest=-4):
    """Tune the weight where an image's error grows with the distance of its power of two from the best one."""
    task, operator, _, split = split_of("deblur")
    shades = Reference(
        reconstruct=lambda y, operator, setting: split.truth + score(math.log2(setting["weight"])),
        applies=lambda operator: True,
        grid=tuple({"weight": 2.0**power} for power in range(lowest, highest + 1, 2)),
        refine=finer_weights,
    )
    told = []
    setting, points = tune(shades, task, operator, split, told.append)
    assert told == list(points)
    powers = [math.log2(point.setting["weight"]) for point in points]
    assert len(set(powers)) == len(powers)
    return math.log2(setting["weight"]), powers


@pytest.mark.parametrize(("best", "found"), [(-10.5, -10.5), (-8.3, -8.25), (-11.8, -11.75), (-8.0, -8.0)])
def test_the_weight_is_found_to_a_quarter_power_between_the_grids_points(best, found):
    power, powers = tuned(lambda power: 0.1 + 0.01 * abs(power - best))
    assert power == found
    assert powers[:6] == [-14, -12, -10, -8, -6, -4]
    assert len(powers) <= 6 + 2 * 3
    assert {found - 0.25, found + 0.25} <= set(powers)


@pytest.mark.parametrize(("best", "found"), [(-19.3, -19.25), (-0.7, -0.75)])
def test_a_best_weight_at_an_edge_extends_the_grid_until_it_lies_inside(best, found):
    power, powers = tuned(lambda power: 0.1 + 0.01 * abs(power - best))
    assert power == found
    assert min(powers) < found < max(powers)


@pytest.mark.parametrize(("slope", "end"), [(1, -24), (-1, 4)])
def test_the_grid_does_not_grow_for_ever(slope, end):
    power, powers = tuned(lambda power: 0.5 + 0.01 * slope * power)
    assert power == end
    assert -24 <= min(powers) <= max(powers) <= 4


def test_total_variation_gains_from_the_finer_weights():
    task, operator, _, split = split_of("ct")
    setting, points = tune(REFERENCES["tv"], task, operator, split)
    coarse = max(point.psnr_db for point in points[: len(REFERENCES["tv"].grid)])
    best = max(points, key=lambda point: point.psnr_db)
    assert setting == best.setting
    assert best.psnr_db > coarse
    assert len({point.setting["weight"] for point in points}) == len(points)


def test_networks_and_references_see_the_same_measurements():
    task, operator, images, split = split_of("mri4x", "test")
    items = grade(REFERENCES["tv"], {"weight": 1e-3}, task, operator, split)
    networks = evaluate(MODELS["lu-dncnn"](channels=2, num_stages=1), operator, task, images).items
    for one, other in zip(items, networks, strict=True):
        assert (one.name, one.group) == (other.name, other.group)
        assert one.start_psnr_db == pytest.approx(other.start_psnr_db, abs=1e-4)
        assert set(one.more) == set(other.more)


def test_cells_tune_on_validation_images_and_grade_test_images(monkeypatch):
    asked = []
    load = TASKS["ct"].load_split

    def noted(source, split, **options):
        asked.append((split, options["count"]))
        return load(source, split, **options)

    monkeypatch.setitem(TASKS, "ct", replace(TASKS["ct"], load_split=noted))
    monkeypatch.setattr(methods, "CHUNK", 2)
    scale = Scale(name="tiny", image_shapes={"ct": SHAPE, "deblur": SHAPE}, train_images=1, test_images=3)
    cells = reference_cells(["ct"], scale, {}, device=CPU)
    assert [cell.spec.method for cell in cells] == ["fbp", "tv"]
    assert [cell.spec.method for cell in reference_cells(["deblur"], scale, {}, device=CPU)] == ["tv"]
    values = cells[0].measure(SimpleNamespace(detail=lambda text: None)).values
    assert asked == [("validation", 10), ("test", 3)]
    assert len(values.items) == 3
    assert values.setting == max(values.tuning, key=lambda point: point.psnr_db).setting
    assert all("test" in item.name for item in values.items)
