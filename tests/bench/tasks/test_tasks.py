"""What every task keeps, and what the benchmark relies on."""

import hashlib
import pickle

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader

from bench.data.base import DataError
from bench.records.paper import load_paper
from bench.tasks import PAPER_TASKS, TASKS
from operators import CallCounter

SPLITS = ("train", "validation", "test")
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
shapes = pytest.mark.parametrize("image_shape", [(32, 32), (36, 26)])


def truth(task, image_shape=(32, 32), count=2, split="train"):
    opened = task.load_split(None, split, image_shape=image_shape, count=count, seed=0)
    return torch.stack([item.image for item in opened])


def small(task, image_shape=(32, 32)):
    return task.operator_at(image_shape, torch.device("cpu"))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_papers_tasks_come_first_at_its_sizes():
    assert {name: (TASKS[name].channels, *TASKS[name].image_shape) for name in PAPER_TASKS} == {
        "deblur": (3, 218, 178),
        "ct": (1, 362, 362),
        "mri4x": (2, 320, 320),
        "mri8x": (2, 320, 320),
    }
    assert list(TASKS) == [*PAPER_TASKS, "diffraction"] == [task.name for task in TASKS.values()]
    assert tuple(task.key for task in load_paper().tasks) == PAPER_TASKS


@every_task
@shapes
def test_operator_and_data_fit_at_any_size(task, image_shape):
    operator, images = small(task, image_shape), truth(task, image_shape)
    assert operator.image_shape == images.shape[1:] == (task.channels, *image_shape)
    y = task.measure(operator, images, seeded())
    assert y.shape == (2, *operator.data_shape)
    assert operator.adjoint(y).shape == images.shape
    assert y.dtype == operator(images).dtype
    assert not y.requires_grad


@every_task
def test_noise_comes_from_the_generator_alone(task):
    operator, images = small(task), truth(task)
    torch.manual_seed(1)
    first = task.measure(operator, images, seeded())
    torch.manual_seed(2)
    torch.testing.assert_close(task.measure(operator, images, seeded()), first, rtol=0, atol=0)
    assert not torch.equal(task.measure(operator, images, seeded(1)), first)
    generator = seeded()
    task.measure(operator, images, generator)
    assert not torch.equal(task.measure(operator, images, generator), first)


@every_task
def test_noise_is_small_beside_the_measurements(task):
    operator, images = small(task), truth(task, count=8)
    clean = operator(images)
    noise = task.measure(operator, images, seeded()) - clean
    assert 1e-3 < float(noise.norm() / clean.norm()) < 0.06


@every_task
def test_a_counted_operator_measures_the_same(task):
    operator, images = small(task), truth(task)
    counter = CallCounter(operator)
    torch.testing.assert_close(
        task.measure(counter, images, seeded()), task.measure(operator, images, seeded()), rtol=0, atol=0
    )
    assert sum(counter.calls.values()) == 1


@every_task
def test_generated_splits_are_disjoint_and_repeatable(task):
    splits = torch.cat([truth(task, count=5, split=split) for split in SPLITS]).flatten(1)
    again = torch.cat([truth(task, count=5, split=split) for split in SPLITS]).flatten(1)
    torch.testing.assert_close(splits, again, rtol=0, atol=0)
    assert (torch.cdist(splits, splits) + 99 * torch.eye(15)).min() > 0.5


@every_task
def test_displayed_images_lie_in_the_unit_range(task):
    image = 2 * torch.randn((task.channels, 9, 8), generator=seeded())
    shown = task.display(image)
    assert shown.shape == ((3, 9, 8) if task.channels == 3 else (1, 9, 8))
    assert 0 <= shown.min() < shown.max() <= 1


@every_task
def test_metrics_tell_a_good_reconstruction_from_a_bad_one(task):
    assert {"psnr_db", "ssim"} <= set(task.metrics)
    image = truth(task, count=1)[0]
    noise = torch.randn(image.shape, generator=seeded())
    good, bad = (task.display(image + strength * noise) for strength in (0.02, 0.2))
    for metric in task.metrics.values():
        assert metric(good, task.display(image)) > metric(bad, task.display(image))
    assert 25 < task.metrics["psnr_db"](good, task.display(image)) < 45


@every_task
def test_a_folder_without_the_layout_is_refused(task, tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        task.load_split(tmp_path, "train", image_shape=(32, 32), count=1, seed=0)


@pytest.fixture
def sources(tmp_path, write_photo, write_slices, write_volume):
    """A folder of every layout, with three images in its training split."""
    for number in range(3):
        write_photo(tmp_path / "photos" / "train" / f"{number}.jpg", seed=number)
    write_slices(tmp_path / "ct" / "ground_truth_train_000.hdf5", number=3)
    write_volume(tmp_path / "mri" / "singlecoil_train" / "v.h5", 3, 320, 320)
    return {"deblur": "photos", "ct": "ct", "mri4x": "mri", "mri8x": "mri", "diffraction": "ct"} | {"root": tmp_path}


@every_task
def test_a_folder_gives_what_it_has(task, sources):
    folder = sources["root"] / sources[task.name]
    for count, expected in ((2, 2), (50, 3)):
        opened = task.load_split(folder, "train", image_shape=(32, 32), count=count, seed=0)
        assert len(opened) == expected
        assert opened[0].image.shape == (task.channels, 32, 32)
        assert len({item.name for item in opened}) == expected


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
def test_worker_processes_read_what_this_one_reads(sources):
    splits = []
    for name, task in TASKS.items():
        for source in (sources["root"] / sources[name], None):
            splits.append(task.load_split(source, "train", image_shape=(16, 16), count=3, seed=0))
            splits[-1][0]  # a handle left open here would be shared with the workers
    images = ConcatDataset(splits)
    loader = DataLoader(images, batch_size=4, num_workers=2, collate_fn=list, multiprocessing_context="spawn")
    read = [item for batch in loader for item in batch]
    assert [item.name for item in read] == [images[index].name for index in range(len(images))]
    for index, item in enumerate(read):
        torch.testing.assert_close(item.image, images[index].image, rtol=0, atol=0)


@every_task
def test_a_task_and_its_splits_can_be_sent_to_another_process(task):
    assert pickle.loads(pickle.dumps(task)).name == task.name


@every_task
def test_the_papers_operator_is_the_default(task):
    assert task.make_operator().image_shape == (task.channels, *task.image_shape)


@pytest.mark.real_data
@every_task
def test_real_images_are_measured(task, real_data):
    folders = {"deblur": "photos/produce", "ct": "ct", "diffraction": "ct"}
    source = real_data / folders.get(task.name, "mri/fastmri_layout")
    groups = []
    for split in SPLITS:
        opened = task.load_split(source, split, image_shape=(64, 64), count=4, seed=0)
        images = torch.stack([item.image for item in opened])
        operator = small(task, (64, 64))
        start = operator.adjoint(task.measure(operator, images, seeded()))
        # The adjoint of the measurements resembles the images they came from.
        assert torch.nn.functional.cosine_similarity(start.flatten(1), images.flatten(1)).min() > 0.6
        groups.append({item.group for item in opened})
    assert not groups[0] & groups[2]
    assert not groups[0] & groups[1]


@pytest.mark.real_data
def test_stored_numbers_rest_on_these_pixels(real_data):
    # CT's way from file to pixels is exactly rounded arithmetic, so that it is the same to the bit everywhere.
    slices = TASKS["ct"].load_split(real_data / "ct", "test", image_shape=(48, 48), count=4, seed=0)
    pixels = b"".join(item.image.numpy().tobytes() for item in slices)
    assert hashlib.sha256(pixels).hexdigest()[:16] == "05bfefc3880b9f95"
    # An FFT's last bits depend on the processor.
    scans = TASKS["mri4x"].load_split(
        real_data / "mri" / "fastmri_layout", "test", image_shape=(48, 48), count=4, seed=0
    )
    means = [float(item.image.double().norm()) for item in scans]
    assert means == pytest.approx([9.7968, 8.3711, 5.1673, 7.7404], rel=1e-5)
