import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.base import DataError, ImageSplit, LabelledImage, source_label, spread


class Levels(ImageSplit):
    def _read(self, reference):
        return LabelledImage(image=torch.full((1, *self.image_shape), reference), name=str(reference), group="g")


def test_a_split_is_a_finite_sequence():
    split = Levels([0.0, 1.0, 2.0], (2, 2))
    assert len(split) == 3
    assert split[-1].name == "2.0"
    with pytest.raises(IndexError):
        split[3]
    assert [item.name for item in split] == ["0.0", "1.0", "2.0"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_named(value):
    with pytest.raises(DataError, match=rf"^{value}: .*finite"):
        Levels([value], (2, 2))[0]


@pytest.mark.parametrize("image_shape", [(0, 4), (4, -1)])
def test_an_empty_image_shape_is_refused(image_shape):
    with pytest.raises(ValueError, match="image_shape"):
        Levels([1.0], image_shape)


def test_an_error_is_one_line_and_survives_the_way_from_a_worker():
    error = DataError.about(Path("a/b.h5"), OSError("two\nlines"))
    assert str(error) == "a/b.h5: two lines"
    assert str(pickle.loads(pickle.dumps(error))) == "a/b.h5: two lines"
    assert isinstance(type(error)("Caught DataError in worker"), DataError)  # how a DataLoader raises it again


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 500), st.integers(1, 600), st.integers(0, 5))
def test_selections_are_even_distinct_and_repeatable(total, count, seed):
    chosen = spread(total, count, seed)
    assert chosen == spread(total, count, seed)
    assert len(chosen) == min(count, total)
    assert chosen[0] >= 0
    assert chosen[-1] < total
    gaps = np.diff(chosen)
    assert (gaps >= 1).all()
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


def test_the_seed_moves_a_selection():
    assert len({tuple(spread(1000, 10, seed)) for seed in range(8)}) > 4


@pytest.mark.parametrize("count", [0, -3])
def test_a_selection_of_nothing_is_refused(count):
    with pytest.raises(ValueError, match="count"):
        spread(10, count, 0)


@pytest.mark.parametrize(
    ("source", "label"),
    [(None, "generated"), ("/data/photos/produce", "photos/produce"), ("/ct", "ct"), ("/a/b/../c", "a/c")],
)
def test_a_source_is_named_by_its_last_two_folders(source, label):
    assert source_label(source and Path(source)) == label


def test_a_relative_source_is_named_as_the_absolute_one(tmp_path, monkeypatch):
    (tmp_path / "photos" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos" / "mine")
    assert source_label(Path(".")) == "photos/mine"
