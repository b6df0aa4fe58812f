import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.data.base import DataError
from bench.data.formats.folder import natural_key, open_folder, read_rgb
from bench.data.resample import resize


def opened(source, split="train", image_shape=(40, 30), count=100, seed=0, native=False):
    return open_folder(source, split, image_shape=image_shape, count=count, seed=seed, native=native)


def test_photographs_come_in_natural_order_with_their_own_pixels(tmp_path, write_photo):
    pixels = {number: write_photo(tmp_path / "train" / f"img{number}.png", seed=number) for number in (10, 2, 1)}
    split = opened(tmp_path)
    assert [item.name for item in split] == ["img1.png", "img2.png", "img10.png"]
    for item, number in zip(split, (1, 2, 10), strict=True):
        np.testing.assert_allclose(item.image.numpy(), pixels[number].transpose(2, 0, 1) / 255, atol=1e-6)
        assert item.group == item.name


@pytest.mark.parametrize("name", ["val", "validation"])
def test_either_name_of_the_validation_folder_is_known(tmp_path, write_photo, name):
    write_photo(tmp_path / name / "a.jpg")
    write_photo(tmp_path / "test" / "b.jpg")
    assert [item.name for item in opened(tmp_path, "validation")] == ["a.jpg"]


def test_what_is_no_photograph_is_left_alone(tmp_path, write_photo):
    for name in ("a.JPG", "deep/b.jpeg", "c.png"):
        write_photo(tmp_path / "train" / name, format="png")
    for name in (".hidden.jpg", "notes.txt", ".cache/d.png"):
        (tmp_path / "train" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_text("no photograph")
    assert [item.name for item in opened(tmp_path)] == ["a.JPG", "c.png", "deep/b.jpeg"]


def test_photographs_are_cropped_to_the_aspect_then_averaged(tmp_path, write_photo):
    pixels = write_photo(tmp_path / "train" / "wide.png", height=40, width=100)
    middle = pixels[:, 35:65].transpose(2, 0, 1).astype(np.float32) / 255
    image = opened(tmp_path, image_shape=(20, 15))[0].image
    np.testing.assert_allclose(image, middle.reshape(3, 20, 2, 15, 2).mean(axis=(2, 4)), atol=1e-6)


def test_a_small_photograph_is_enlarged(tmp_path, write_photo):
    pixels = write_photo(tmp_path / "train" / "small.png", height=4, width=3)
    expected = resize(pixels.transpose(2, 0, 1).astype(np.float32) / 255, (40, 30))
    np.testing.assert_allclose(opened(tmp_path)[0].image, expected, atol=1e-6)


def test_count_spreads_over_the_folder(tmp_path, write_photo):
    for number in range(20):
        write_photo(tmp_path / "train" / f"{number}.png", height=4, width=3)
    numbers = [int(item.name.split(".")[0]) for item in opened(tmp_path, image_shape=(4, 3), count=5)]
    assert np.diff(numbers).tolist() == [4] * 4


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [("L", 51, 0.2), ("I;16", 13107, 0.2), ("RGBA", (51, 51, 51, 9), 0.2), ("P", 0, 0.0), ("1", 1, 1.0)],
)
def test_every_kind_of_pixel_becomes_rgb_in_the_unit_range(tmp_path, mode, value, expected):
    Image.new(mode, (5, 4), value).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_rgb(tmp_path / "a.png"), np.full((3, 4, 5), expected), atol=1e-6)


@pytest.mark.parametrize("file_type", ["gif", "bmp", "webp", "tiff", "ppm", "ico"])
def test_another_file_type_under_a_photographs_name_is_refused(tmp_path, file_type):
    path = tmp_path / "train" / "a.png"
    path.parent.mkdir()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(path, format=file_type)
    with pytest.raises(DataError, match=rf"^{path}: cannot be read as an image \(it is neither JPEG nor PNG\)$"):
        read_rgb(path)
    with pytest.raises(DataError, match="neither JPEG nor PNG"):
        opened(tmp_path, native=True)


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_pixels_of_32_bits_are_refused(tmp_path, value):
    Image.fromarray(np.full((16, 16), value, np.float32)).save(tmp_path / "a.png", format="tiff")
    with pytest.raises(DataError, match="neither JPEG nor PNG"):
        read_rgb(tmp_path / "a.png")


@pytest.mark.parametrize("side", [10_000, 14_000, 60_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "a.png"
    Image.new("1", (16, 16)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"Image size .* exceeds limit") as caught:
        read_rgb(path)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="No such file"):
        read_rgb(tmp_path / "a.png")


def test_what_would_steer_a_terminal_is_written_out(tmp_path):
    path = tmp_path / "a\x1b[2J\nb.png"
    with pytest.raises(DataError) as caught:
        read_rgb(path)
    assert str(caught.value).isprintable()
    assert "a\\x1b[2J\\nb.png" in str(caught.value)


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_rgb(tmp_path / "a.jpg").shape == (3, 8, 4)


def truncated(path, write_photo):
    write_photo(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def html(path, write_photo):
    path.write_text("\n<!DOCTYPE html><html>Quota exceeded</html>")


def noise(path, write_photo):
    path.write_bytes(bytes(range(1, 200)))


def empty(path, write_photo):
    path.touch()


def absent(path, write_photo):
    pass


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("damage", [truncated, html, noise, empty, absent])
def test_a_broken_photograph_is_named_on_one_line(tmp_path, write_photo, damage, suffix):
    path = tmp_path / f"broken.{suffix}"
    damage(path, write_photo)
    with pytest.raises(DataError) as caught:
        read_rgb(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert ("HTML" in str(caught.value)) == (damage is html)


def test_a_broken_photograph_stops_only_whoever_reads_it(tmp_path, write_photo):
    write_photo(tmp_path / "train" / "a.png")
    empty(tmp_path / "train" / "b.png", None)
    split = opened(tmp_path)
    assert split[0].name == "a.png"
    with pytest.raises(DataError, match=r"b\.png"):
        split[1]


@pytest.mark.parametrize("folder", ["", "train"])
def test_a_missing_or_empty_folder_is_named(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    with pytest.raises(DataError, match=str(tmp_path / folder)):
        opened(tmp_path)


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        opened(tmp_path / "nowhere")


def test_natural_order_survives_digits_of_other_scripts(tmp_path):
    names = ["x10", "x²", "x2", "2", "x2b"]
    ordered = sorted((tmp_path / name for name in names), key=natural_key)
    assert [path.name for path in ordered][:4] == ["2", "x2", "x2b", "x10"]


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "counts"), [("faces", (240, 30, 50)), ("produce", (174, 24, 48))])
def test_real_photographs(real_data, name, counts):
    for split, count in zip(("train", "validation", "test"), counts, strict=True):
        photographs = opened(real_data / "photos" / name, split, image_shape=(218, 178), count=10_000)
        assert len(photographs) == count
        image = photographs[count // 2].image
        assert image.shape == (3, 218, 178)
        assert 0 <= image.min() < image.mean() < image.max() <= 1
