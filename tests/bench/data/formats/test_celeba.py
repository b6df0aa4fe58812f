import shutil
import tracemalloc
import zipfile

import numpy as np
import pytest
from torch.utils.data import ConcatDataset, DataLoader

from bench.data.base import DataError
from bench.data.formats.celeba import is_celeba, open_celeba

SPLITS = {"000001.jpg": 0, "000002.jpg": 0, "000003.jpg": 1, "000004.jpg": 2, "000005.jpg": 0}


@pytest.fixture
def celeba(tmp_path, write_photo):
    for seed, name in enumerate(SPLITS):
        write_photo(tmp_path / "img_align_celeba" / name, height=218, width=178, seed=seed)
    listed = "".join(f"{name} {code}\n" for name, code in SPLITS.items())
    (tmp_path / "list_eval_partition.txt").write_text(listed)
    return tmp_path


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def zipped(celeba, request):
    """The same photographs in the published archive, in place of the folder, which is moved to ``unpacked/``."""
    with zipfile.ZipFile(celeba / "img_align_celeba.zip", "w", request.param) as archive:
        for path in sorted((celeba / "img_align_celeba").iterdir()):
            archive.write(path, f"img_align_celeba/{path.name}")
    (celeba / "unpacked").mkdir()
    (celeba / "img_align_celeba").rename(celeba / "unpacked" / "img_align_celeba")
    shutil.copy(celeba / "list_eval_partition.txt", celeba / "unpacked")
    return celeba


def opened(source, split="train", image_shape=(218, 178), count=10, seed=0):
    return open_celeba(source, split, image_shape=image_shape, count=count, seed=seed)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["000001.jpg", "000002.jpg", "000005.jpg"]),
        ("validation", ["000003.jpg"]),
        ("test", ["000004.jpg"]),
    ],
)
def test_the_partition_decides_the_split(celeba, split, names):
    faces = opened(celeba, split)
    assert [item.name for item in faces] == names
    assert faces[0].image.shape == (3, 218, 178)


def test_a_square_shape_takes_the_middle_of_the_face(celeba):
    whole, square = opened(celeba)[0].image, opened(celeba, image_shape=(89, 89))[0].image
    middle = whole[:, 20:198].unflatten(1, (89, 2)).unflatten(3, (89, 2)).mean(dim=(2, 4))
    np.testing.assert_allclose(square, middle, atol=1e-5)


def test_either_of_its_two_parts_gives_the_layout_away(celeba, tmp_path):
    assert is_celeba(celeba)
    (celeba / "list_eval_partition.txt").unlink()
    assert is_celeba(celeba)
    assert not is_celeba(celeba / "img_align_celeba")


def remove_list(source):
    (source / "list_eval_partition.txt").unlink()


def html_list(source):
    (source / "list_eval_partition.txt").write_text("<html>Quota exceeded</html>")


def binary_list(source):
    (source / "list_eval_partition.txt").write_bytes(b"\x89PNG\xff\xfe")


def comma_list(source):
    (source / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg,0\n")


def unknown_code(source):
    (source / "list_eval_partition.txt").write_text("000001.jpg 3\n")


def no_training(source):
    (source / "list_eval_partition.txt").write_text("000004.jpg 2\n")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (remove_list, "missing"),
        (html_list, "HTML"),
        (binary_list, "no text"),
        (comma_list, "line 2"),
        (unknown_code, "line 1"),
        (no_training, "no train image"),
    ],
)
def test_a_broken_list_is_named(celeba, damage, word):
    damage(celeba)
    with pytest.raises(DataError, match=rf"list_eval_partition\.txt: .*{word}"):
        opened(celeba)


def test_a_missing_image_is_named_at_once(celeba):
    (celeba / "img_align_celeba" / "000005.jpg").unlink()
    with pytest.raises(DataError, match=r"000005\.jpg: .*missing"):
        opened(celeba)


def test_a_missing_folder_is_named(celeba):
    (celeba / "img_align_celeba").rename(celeba / "images")
    with pytest.raises(DataError, match=r"img_align_celeba: .*missing"):
        opened(celeba)


def test_an_html_page_in_place_of_an_image_is_named(celeba):
    (celeba / "img_align_celeba" / "000002.jpg").write_text("<!DOCTYPE html>")
    faces = opened(celeba)
    assert faces[0].name == "000001.jpg"
    with pytest.raises(DataError, match=r"000002\.jpg: .*HTML"):
        faces[1]


def test_the_published_archive_gives_what_its_folder_gives(zipped):
    assert is_celeba(zipped)
    inside, unpacked = opened(zipped), opened(zipped / "unpacked")
    assert [item.name for item in inside] == [item.name for item in unpacked]
    for one, other in zip(inside, unpacked, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_worker_processes_read_the_archive_too(zipped):
    faces = ConcatDataset([opened(zipped)] * 3)
    for item, name in zip(DataLoader(faces, batch_size=None, num_workers=1), 3 * list(opened(zipped)), strict=True):
        np.testing.assert_array_equal(item.image, name.image)


def damage_archive(change):
    def damaged(source):
        path = source / "img_align_celeba.zip"
        path.write_bytes(change(path.read_bytes()))

    return damaged


def with_member(name):
    def add(source):
        with zipfile.ZipFile(source / "img_align_celeba.zip", "a") as archive:
            archive.writestr(name, b"x")

    return add


def compressed_otherwise(source):
    with zipfile.ZipFile(source / "img_align_celeba.zip", "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("img_align_celeba/9.jpg", b"x")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (damage_archive(lambda content: b"<!DOCTYPE html><html>Quota exceeded</html>"), "HTML"),
        (damage_archive(lambda content: content[: len(content) // 2]), "truncated"),
        (damage_archive(lambda content: b""), "cannot be read as a zip archive"),
        (with_member("../../evil.jpg"), r"'\.\./\.\./evil\.jpg', which leads out"),
        (with_member("img_align_celeba/../../evil.jpg"), "leads out"),
        (with_member("..\\evil.jpg"), "leads out"),
        (with_member("/etc/evil.jpg"), "leads out"),
        (with_member("C:\\evil.jpg"), "leads out"),
        (compressed_otherwise, "neither stored nor deflated"),
    ],
)
def test_an_archive_that_cannot_be_trusted_is_named(zipped, damage, word):
    damage(zipped)
    with pytest.raises(DataError, match=rf"^{zipped / 'img_align_celeba.zip'}: .*{word}") as caught:
        opened(zipped)
    assert "\n" not in str(caught.value)


def test_a_damaged_photograph_in_the_archive_stops_only_whoever_reads_it(zipped):
    path = zipped / "img_align_celeba.zip"
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("img_align_celeba/000002.jpg")
    content = bytearray(path.read_bytes())
    middle = place.header_offset + place.compress_size // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    faces = opened(zipped)
    assert faces[0].name == "000001.jpg"
    with pytest.raises(DataError, match=r"img_align_celeba\.zip/000002\.jpg: is truncated or damaged"):
        faces[1]


def test_an_archive_that_shrinks_or_vanishes_after_opening_is_named(zipped):
    faces, path = opened(zipped), zipped / "img_align_celeba.zip"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"000001\.jpg: is truncated or damaged"):
        faces[0]
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path}: cannot be read"):
        faces[0]


def test_an_image_that_the_archive_lacks_is_named_at_once(zipped):
    with (zipped / "list_eval_partition.txt").open("a") as stream:
        stream.write("000009.jpg 0\n")
    with pytest.raises(DataError, match=r"000009\.jpg: .*missing"):
        opened(zipped)


def test_reading_keeps_one_photograph_in_memory_however_many_are_read(zipped):
    def peak(reads):
        faces = opened(zipped)
        tracemalloc.start()
        for _ in range(reads):
            for position in range(len(faces)):
                faces[position]
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)  # what Pillow imports on first use
    assert peak(8) < 1.2 * peak(1) < 20 * 3 * 218 * 178 * 4
