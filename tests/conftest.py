"""Fixtures of several packages: writers of small files in genuine layouts, and the real images."""

import os
from pathlib import Path

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:  # before torch is imported: more threads than cores wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // WORKERS, 1)))

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is first imported, by whichever library
os.environ["RECONSTRUCTION_CACHE_DIR"] = ""  # tests, and the processes that they start, leave no matrices behind

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def real_data():
    if not REAL_DATA.is_dir():
        pytest.skip("no folder shared/data beside the checkout")
    return REAL_DATA


@pytest.fixture
def write_photo():
    """Write an RGB photograph of random 8-bit pixels, and return them as (H, W, 3)."""

    def write(path, height=40, width=30, seed=0, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, **options)
        return pixels

    return write


@pytest.fixture
def write_slices():
    """Write LoDoPaB-CT's layout: N slices of 362 x 362 under 'data', stripes about a level of their own.

    A slice at level 0 is blank.
    """

    def write(path, number=2, size=362, key="data", dtype="f4", first=0.1):
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = first + 0.01 * np.arange(number)
        stripes = 1 + 0.1 * (-1) ** np.arange(size)
        data = np.broadcast_to(levels[:, None, None] * stripes, (number, size, size)).astype(dtype)
        with h5py.File(path, "w") as file:
            file.create_dataset(key, data=data, chunks=(1, size, size), compression="gzip")

    return write


@pytest.fixture
def write_observations():
    """Write the observations of discs in LoDoPaB-CT's layout, by its own geometry, and return the discs' images.

    Detector s of angle t sees the disc about (row r, column c) where |s - r cos t - c sin t| is below its radius.
    """

    def write(folder, number=2, split="train", rows=None):
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (np.arange(362) - 180.5) * 0.26 / 362
        angles = ((np.arange(1000) + 0.5) * np.pi / 1000)[:, None]
        detectors = (np.arange(513) - 256) * 0.26 * np.sqrt(2) / 513
        images = np.zeros((number, 362, 362), "f4")
        sinograms = np.zeros((rows or number, 1000, 513), "f4")
        for place in range(number):
            row, column, radius = 0.03 - 0.07 * place, -0.06, 0.04
            images[place] = 0.25 * ((pixels[:, None] - row) ** 2 + (pixels - column) ** 2 < radius**2)
            offsets = detectors - row * np.cos(angles) - column * np.sin(angles)
            sinograms[place] = 0.25 * 2 * np.sqrt(np.clip(radius**2 - offsets**2, 0, None))
        for kind, data in (("ground_truth", images), ("observation", sinograms)):
            with h5py.File(folder / f"{kind}_{split}_000.hdf5", "w") as file:
                file["data"] = data
        return images

    return write


@pytest.fixture
def write_volume():
    """Write fastMRI's layout from random complex images, and return these, uncropped: (slices, H, W)."""

    def write(path, slices=2, height=640, width=368, seed=0, patient=None, reference=True, mask=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        images = 5e-4 * (rng.standard_normal((slices, height, width, 2)) @ (1, 1j))
        axes = (-2, -1)
        k_space = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=axes), norm="ortho"), axes=axes).astype(
            np.complex64
        )
        top, left = (height - 320) // 2, (width - 320) // 2
        with h5py.File(path, "w") as file:
            file["kspace"] = k_space
            file["ismrmrd_header"] = b"<ismrmrdHeader/>"
            if reference:
                reconstruction = np.abs(images[:, top : top + 320, left : left + 320]).astype("f4")
                file["reconstruction_esc"] = reconstruction
                file.attrs["max"] = reconstruction.max()
            if mask:
                file["mask"] = np.zeros(width, dtype=bool)
            if patient is not None:
                file.attrs["patient_id"] = patient
        return images

    return write
