"""Images at their own pixels: whole in training, centres otherwise, and nothing is resized."""

import shutil
import zipfile

import click
import h5py
import numpy as np
import pytest
from PIL import Image

from bench.cli.sources import check_sources, open_split
from bench.data.base import DataError
from bench.data.formats.fastmri import native_shape, open_fastmri
from bench.data.formats.fastmri_volume import field_of_view
from bench.data.formats.folder import open_folder
from bench.data.resample import crop_centre
from bench.tasks import TASKS
from bench.tasks.scales import SCALES

FULL = SCALES["full"]
SPLITS = ("train", "validation", "test")


def opened(task, source, split="train", image_shape=(20, 16), count=100):
    return TASKS[task].load_split(source, split, image_shape=image_shape, count=count, seed=0, native=True)


def pixels_of(item):
    return np.round(item.image.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)


SIZES = {"a": (40, 30), "b": (20, 16), "c": (25, 61)}


@pytest.fixture
def photos(tmp_path, write_photo):
    """Photographs of several sizes in every split; return them by split and name."""
    return {
        split: {
            f"{name}.png": write_photo(tmp_path / folder / f"{name}.png", *size, seed=seed)
            for seed, (name, size) in enumerate(SIZES.items())
        }
        for split, folder in zip(SPLITS, ("train", "val", "test"), strict=True)
    }


def test_photographs_train_whole_and_are_otherwise_their_centre(tmp_path, photos):
    train = opened("deblur", tmp_path)
    assert [tuple(item.image.shape[1:]) for item in train] == list(SIZES.values())
    for item in train:
        np.testing.assert_array_equal(pixels_of(item), photos["train"][item.name])
    for split in SPLITS[1:]:
        for item in opened("deblur", tmp_path, split):
            centre = crop_centre(photos[split][item.name].transpose(2, 0, 1), (20, 16)).transpose(1, 2, 0)
            np.testing.assert_array_equal(pixels_of(item), centre)


def test_photographs_that_are_too_small_are_left_out_by_name(tmp_path, photos, write_photo, caplog):
    for folder in ("train", "val", "test"):
        write_photo(tmp_path / folder / "short.png", 19, 100)
        write_photo(tmp_path / folder / "narrow.png", 100, 15)
    for split in SPLITS:
        caplog.clear()
        for _ in range(2):  # told once
            assert [item.name for item in opened("deblur", tmp_path, split)] == ["a.png", "b.png", "c.png"]
        assert caplog.messages == [f"{name}.png: left out, smaller than 20x16 pixels" for name in ("narrow", "short")]
        resized = open_folder(tmp_path, split, image_shape=(20, 16), count=100, seed=0)
        assert len(resized) == 5
    with pytest.raises(DataError, match=rf"^{tmp_path / 'val'}: no validation photograph has 41x16 pixels or more"):
        opened("deblur", tmp_path, "validation", image_shape=(41, 16), count=3)


def test_a_folder_with_one_large_photograph_can_be_used(tmp_path, write_photo):
    for folder in ("train", "val", "test"):
        for number in range(5):
            write_photo(tmp_path / folder / f"{number}.png", 218 if number == 4 else 217, 178)
    check_sources(["deblur"], {"deblur": tmp_path}, FULL, SPLITS)
    (tmp_path / "test" / "4.png").unlink()
    with pytest.raises(click.ClickException, match=r"task deblur: .*no test photograph has 218x178"):
        check_sources(["deblur"], {"deblur": tmp_path}, FULL, SPLITS)


@pytest.mark.parametrize(("orientation", "fits"), [(1, False), (3, False), (5, True), (6, True), (8, True)])
def test_a_photograph_taken_sideways_has_the_size_of_the_upright_one(tmp_path, orientation, fits):
    (tmp_path / "train").mkdir()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (24, 18)).save(tmp_path / "train" / "turned.jpg", exif=exif)  # 24 wide, 18 high
    Image.new("RGB", (30, 30)).save(tmp_path / "train" / "upright.jpg")
    items = list(opened("deblur", tmp_path))
    assert [item.name for item in items] == (["turned.jpg"] if fits else []) + ["upright.jpg"]
    assert tuple(items[0].image.shape[1:]) == ((24, 18) if fits else (30, 30))


@pytest.mark.parametrize(("name", "problem"), [("page.jpg", "is an HTML page"), ("empty.png", "cannot be read as an")])
def test_a_file_that_is_no_photograph_is_named_when_its_size_is_asked(tmp_path, photos, name, problem):
    (tmp_path / "train" / name).write_text("<html>" if name == "page.jpg" else "")
    with pytest.raises(DataError, match=rf"^{tmp_path / 'train' / name}: {problem}"):
        opened("deblur", tmp_path)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_celeba_keeps_its_pixels_in_the_folder_and_in_the_archive(tmp_path, write_photo, caplog, packed):
    folder, archive = tmp_path / "img_align_celeba", tmp_path / "img_align_celeba.zip"
    sizes = ((218, 178), (300, 200), (217, 178), (218, 178), (230, 180))
    written = [write_photo(folder / f"{n}.png", *size, seed=n) for n, size in enumerate(sizes)]
    (tmp_path / "list_eval_partition.txt").write_text("0.png 0\n1.png 0\n2.png 0\n3.png 1\n4.png 2\n")
    if packed:
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(folder.iterdir()):
                file.write(path, f"img_align_celeba/{path.name}")
        shutil.rmtree(folder)
    train, validation, test = (opened("deblur", tmp_path, split, (218, 178)) for split in SPLITS)
    assert [item.name for item in train] == ["0.png", "1.png"]
    assert caplog.messages == ["2.png: left out, smaller than 218x178 pixels"]
    for item, pixels in zip(train, written, strict=False):
        np.testing.assert_array_equal(pixels_of(item), pixels)
    np.testing.assert_array_equal(pixels_of(validation[0]), written[3])
    np.testing.assert_array_equal(pixels_of(test[0]), written[4][6:224, 1:179])


def test_chest_slices_keep_their_pixels(tmp_path):
    data = np.random.default_rng(0).random((2, 362, 362), dtype=np.float32)
    for split in SPLITS:
        with h5py.File(tmp_path / f"ground_truth_{split}_000.hdf5", "w") as file:
            file["data"] = data
    for split, expected in (("train", data), ("test", data[:, 149:213, 133:229])):
        found = np.stack([item.image[0] for item in opened("ct", tmp_path, split, (64, 96))])
        np.testing.assert_array_equal(found, expected)
    assert FULL.image_shape("ct", tmp_path) == (362, 362)
    whole = np.stack([item.image[0] for item in open_split("ct", tmp_path, "test", FULL, count=2)])
    np.testing.assert_array_equal(whole, data)
    assert open_split("ct", tmp_path, "test", SCALES["small"], count=1)[0].image.shape == (1, 64, 64)


def padded(path, height, width):
    """Leave noise in the middle (height, width) of every slice alone, as images that were padded to 320 x 320 have."""
    with h5py.File(path, "a") as file:
        inside = np.zeros((320, 320), dtype=bool)
        crop_centre(inside, (height, width))[...] = True
        images = np.where(inside, np.random.default_rng(1).random((2, 320, 320)) + 0.1, 0)
        shifted = np.fft.ifftshift(images, axes=(1, 2))
        file["kspace"][...] = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes=(1, 2))
        if "reconstruction_esc" in file:
            file["reconstruction_esc"][...] = images
    return images


@pytest.fixture
def volumes(tmp_path, write_volume):
    """A volume of 256 x 256 pixels, padded to 320 x 320, in every split; return their images."""
    for seed, folder in enumerate(("train", "val", "test")):
        write_volume(tmp_path / folder / f"v{seed}.h5", 2, 320, 320, seed=seed)
    return [padded(tmp_path / folder / f"v{seed}.h5", 256, 256) for seed, folder in enumerate(("train", "val", "test"))]


def test_padding_is_left_out_of_volumes(tmp_path, volumes):
    assert field_of_view(tmp_path / "train" / "v0.h5") == (256, 256)
    assert native_shape(tmp_path, (320, 320)) == FULL.image_shape("mri4x", tmp_path) == (256, 256)
    assert native_shape(tmp_path, (96, 300)) == (96, 256)
    for split, images in zip(SPLITS, volumes, strict=True):  # training images are cut too: padding teaches nothing
        item = open_split("mri4x", tmp_path, split, FULL, count=2)[0]
        assert item.image.shape == (2, 256, 256)
        expected = crop_centre(images, (256, 256))[0] / images.max()
        np.testing.assert_allclose(item.image.norm(dim=0), expected, atol=1e-5)


def test_a_genuine_volume_fills_its_crop_and_keeps_it_whole(tmp_path, volumes, write_volume):
    write_volume(tmp_path / "val" / "genuine.h5", 1, 640, 368)
    assert field_of_view(tmp_path / "val" / "genuine.h5") == (320, 320)
    assert FULL.image_shape("mri8x", tmp_path) == (320, 320)
    assert opened("mri8x", tmp_path, image_shape=(320, 320))[0].image.shape == (2, 320, 320)


def test_the_field_of_view_holds_every_slice_and_is_whole_where_nothing_says_otherwise(tmp_path, write_volume):
    path = tmp_path / "train" / "a.h5"
    write_volume(path, 3, 320, 320)
    with h5py.File(path, "a") as file:
        file["reconstruction_esc"][...] = 0
        file["reconstruction_esc"][0, 10:300, 160] = 1
        file["reconstruction_esc"][1, 160, 100:200] = 1
    assert field_of_view(path) == (300, 120)  # symmetric: the longer half decides
    write_volume(tmp_path / "train" / "b.h5", 1, 320, 320, reference=False)
    assert field_of_view(tmp_path / "train" / "b.h5") == (320, 320)


def test_references_of_zeros_are_one_clear_line(tmp_path, volumes):
    for path in tmp_path.glob("*/*.h5"):
        with h5py.File(path, "a") as file:
            file["reconstruction_esc"][...] = 0
    field_of_view.cache_clear()
    with pytest.raises(DataError, match="every 'reconstruction_esc' is zero"):
        FULL.image_shape("mri4x", tmp_path)


def test_native_training_slices_are_cut_and_not_averaged(tmp_path, write_volume):
    write_volume(tmp_path / "train" / "a.h5", 1, 320, 320)
    whole, cut = (
        open_fastmri(tmp_path, "train", image_shape=shape, count=1, seed=0, native=True)[0].image
        for shape in ((320, 320), (100, 80))
    )
    np.testing.assert_array_equal(cut, whole[:, 110:210, 120:200])


@pytest.mark.parametrize("task", TASKS)
def test_generated_images_have_the_papers_size_at_the_scale_full(task):
    assert FULL.image_shape(task) == TASKS[task].image_shape
    assert FULL.native
    assert not SCALES["small"].native


def test_only_native_scales_look_for_padding(tmp_path, volumes):
    assert SCALES["paper"].image_shape("mri4x", tmp_path) == (320, 320)
    assert SCALES["small"].image_shape("mri4x", tmp_path) == (64, 64)
