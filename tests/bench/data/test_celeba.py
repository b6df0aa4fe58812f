import numpy as np
import pytest

from bench.data import DataError
from bench.data.celeba import is_celeba, open_celeba

SPLITS = {"000001.jpg": 0, "000002.jpg": 0, "000003.jpg": 1, "000004.jpg": 2, "000005.jpg": 0}


@pytest.fixture
def celeba(tmp_path, write_photo):
    for seed, name in enumerate(SPLITS):
        write_photo(tmp_path / "img_align_celeba" / name, height=218, width=178, seed=seed)
    listed = "".join(f"{name} {code}\n" for name, code in SPLITS.items())
    (tmp_path / "list_eval_partition.txt").write_text(listed)
    return tmp_path


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
