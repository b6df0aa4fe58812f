"""Matrices on disk: found again, never wrong, never in the way, never too many."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from operators import Radon, disk_cache
from operators.disk_cache import cache_folder, cached_arrays
from operators.radon import matrix_backend


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RECONSTRUCTION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(matrix_backend, "KEPT_BYTES", 0)
    return tmp_path / "cache"


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    return {"weights": rng.random(1000), "columns": rng.integers(0, 9, 100, dtype=np.int32)}


def use(**scan):
    """Apply an operator once: its matrix is built then."""
    operator = Radon(**scan)
    operator(torch.zeros(1, *operator.image_shape))


def must_not_build():
    raise AssertionError("built although it was kept")


def assert_same(arrays, expected):
    assert list(arrays) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name], values)
        assert arrays[name].dtype == values.dtype


def test_what_was_built_is_read(folder):
    assert_same(cached_arrays("a", numbers), numbers())
    assert_same(cached_arrays("a", must_not_build), numbers())
    assert [file.name for file in folder.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "folder"])
def test_a_damaged_file_is_built_anew(folder, damage):
    cached_arrays("a", numbers)
    path = folder / "a.npz"
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"cut": content[:-300], "flipped": flipped, "empty": b"", "text": b"no zip"}[damage])
    assert_same(cached_arrays("a", lambda: numbers(1)), numbers(1))
    if damage != "folder":
        assert_same(cached_arrays("a", must_not_build), numbers(1))
    assert not list(folder.glob("*.tmp"))


def test_pickles_are_not_read(folder):
    folder.mkdir()
    np.savez(folder / "a.npz", weights=np.array([{}], dtype=object))
    assert_same(cached_arrays("a", numbers), numbers())


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RECONSTRUCTION_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert_same(cached_arrays("a", numbers), numbers())


def test_an_interrupted_write_leaves_nothing(folder, monkeypatch):
    monkeypatch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cached_arrays("a", numbers)
    assert not list(folder.iterdir())


def test_the_files_read_longest_ago_are_deleted_beyond_the_bound(folder, monkeypatch):
    for age, key in enumerate("abc"):
        cached_arrays(key, numbers)
        os.utime(folder / f"{key}.npz", (age, age))
    cached_arrays("a", must_not_build)  # read just now
    monkeypatch.setattr(disk_cache, "MAX_BYTES", 3 * (folder / "a.npz").stat().st_size)
    cached_arrays("d", numbers)
    assert sorted(file.stem for file in folder.iterdir()) == ["a", "c", "d"]
    monkeypatch.setattr(disk_cache, "MAX_BYTES", 1)
    cached_arrays("e", numbers)
    assert [file.stem for file in folder.iterdir()] == ["e"]


def test_small_arrays_are_not_kept(folder):
    cached_arrays("a", numbers, min_bytes=2**20)
    assert not folder.exists()


def test_the_folder_is_the_users_or_the_chosen_one_or_none(monkeypatch):
    monkeypatch.setenv("RECONSTRUCTION_CACHE_DIR", "")
    assert cache_folder() is None
    monkeypatch.setenv("RECONSTRUCTION_CACHE_DIR", "somewhere")
    assert cache_folder() == Path("somewhere")
    monkeypatch.delenv("RECONSTRUCTION_CACHE_DIR")
    for platform, variable in (("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")):
        monkeypatch.setattr("sys.platform", platform)
        monkeypatch.setenv(variable, "base")
        assert cache_folder() == Path("base/reconstruction-benchmark")
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library/Caches/reconstruction-benchmark"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_operator_from_disk_is_the_same_bit_by_bit(folder, monkeypatch, dtype):
    x = torch.rand(2, 1, 12, 12, dtype=dtype, generator=torch.Generator().manual_seed(0))
    built = Radon((12, 12), num_angles=8)
    y = built(x)
    monkeypatch.setattr(matrix_backend, "joseph_matrix", must_not_build)
    read = Radon((12, 12), num_angles=8)
    assert torch.equal(read(x), y)
    assert torch.equal(read.adjoint(y), built.adjoint(y))


@pytest.mark.parametrize(
    "other",
    [
        {"num_angles": 9},
        {"angles": np.arange(8) * 0.3},
        {"num_detectors": 18},
        {"detector_spacing": 1.01},
        {"pixel_size": 2.0},
        {"image_shape": (12, 13)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_geometry_is_another_file(folder, other):
    scan = {"image_shape": (12, 12), "num_angles": 8}
    use(**scan)
    kept = set(folder.iterdir())
    use(**scan)
    assert set(folder.iterdir()) == kept
    use(**(scan | other))
    assert set(folder.iterdir()) > kept


def test_other_code_is_another_file(folder, monkeypatch, tmp_path):
    use(image_shape=(12, 12), num_angles=8)
    kept = set(folder.iterdir())
    changed = tmp_path / "joseph.py"
    changed.write_bytes(Path(matrix_backend.joseph.__file__).read_bytes() + b"# changed\n")
    monkeypatch.setattr(matrix_backend.joseph, "__file__", str(changed))
    use(image_shape=(12, 12), num_angles=8)
    assert len(set(folder.iterdir()) - kept) == len(kept)
