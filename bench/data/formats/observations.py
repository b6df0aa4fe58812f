"""LoDoPaB-CT's own observations: simulated by its authors with finer pixels than its ground truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.base import DataError, ImageSplit, MeasuredImage, Split
from bench.data.formats.lodopab import KEY, SIZE, CTSlice, read_slice, select_slices
from bench.data.hdf5 import open_hdf5, stack_in

ANGLES, DETECTORS = 1000, 513
USED_ANGLES = range(0, ANGLES, 5)


@dataclass(frozen=True)
class Pair:
    """A slice and the file of its observation."""

    truth: CTSlice
    observation: Path


class ObservationSplit(ImageSplit[Pair]):
    """Ground-truth slices with their observations, read one pair at a time."""

    def _read(self, reference: Pair) -> MeasuredImage:
        truth, path = reference.truth, reference.observation
        with open_hdf5(path) as file:
            stack = stack_in(file, KEY, kind="f", path=path)
            if stack.shape[1:] != (ANGLES, DETECTORS) or truth.row >= stack.shape[0]:
                raise DataError.about(
                    path, f"no {ANGLES}x{DETECTORS} observation {truth.row} in '{KEY}' {tuple(stack.shape)}"
                )
            observed = np.asarray(stack[truth.row, :: USED_ANGLES.step], dtype=np.float32)
        return MeasuredImage(
            image=torch.from_numpy(read_slice(truth)[None]),
            name=f"{truth.path.stem}/{truth.row}",
            group=truth.group,
            measurements=torch.from_numpy(turned(observed)[None]),
            file=path.name,
        )


def open_observations(source: Path, split: Split, *, count: int, seed: int) -> ObservationSplit:
    """Open one split of LoDoPaB-CT with its observations.

    Args:
        source: folder with ``ground_truth_<split>_<number>.hdf5`` and ``observation_<split>_<number>.hdf5``; the
            number of slices is the ground truth's, see ``bench.data.formats.lodopab.open_lodopab``.
        split: which of the three parts.
        count: how many slices to use, evenly spread over the files.
        seed: moves the selection.

    Returns:
        Ground truth (1, 362, 362) float32 in [0, 1], and the observation at every fifth angle,
        ``range(0, 1000, 5)``: (1, 200, 513) float32, metres times the image's values, in the order and
        direction of the CT task's operator.

    Raises:
        DataError: as ``open_lodopab``, and if a selected slice has no observation file.
    """
    pairs = []
    for truth in select_slices(source, split, count, seed):
        path = observation_of(truth.path)
        if not path.is_file():
            raise DataError.about(path, f"no such file, so {truth.path.name} has no observations")
        pairs.append(Pair(truth, path))
    return ObservationSplit(pairs, (SIZE, SIZE))


def observation_of(ground_truth: Path) -> Path:
    """Return the path of the observations of a ground-truth file."""
    return ground_truth.with_name(ground_truth.name.replace("ground_truth", "observation", 1))


def turned(observed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert a sinogram from LoDoPaB-CT's convention to that of ``operators.Radon``.

    Their row of angle t integrates over r cos t + c sin t = s (r down the rows, c along the columns of the image); ours
    integrates over c cos t - r sin t = s. Their angle t is thus our t - pi / 2: the second half of their rows comes
    first, and the first half follows with the detector reversed, a half turn further on.

    Args:
        observed: (T, 513), T even, angles increasing over [0, pi).

    Source: the geometry of ODL, with which LoDoPaB-CT was made (``odl.tomo.parallel_beam_geometry``).
    """
    half = len(observed) // 2
    return np.concatenate([observed[half:], observed[:half, ::-1]])
