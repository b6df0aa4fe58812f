"""LoDoPaB-CT: every slice is read, and its observation if there is one."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import torch
from numpy.typing import NDArray

from bench.data.audits.base import Contents, Layout, SplitAudit, audit_splits, finite_range, told
from bench.data.base import DataError, MeasuredImage, Split
from bench.data.formats.lodopab import (
    KEY,
    PUBLISHED_SLICES,
    SIZE,
    SLICES_PER_FILE,
    CTSlice,
    ground_truth_files,
    is_genuine,
    list_slices,
)
from bench.data.formats.observations import ANGLES, DETECTORS, ObservationSplit, Pair, observation_of
from bench.data.hdf5 import open_hdf5, stack_in
from bench.tasks.ct import acquire

MISMATCH = 0.15
"""Relative distance between A x and y from which an observation is another slice's, or lies the other way round.

Over 50 chest slices the noise alone stayed below 0.06, and 49 of their neighbours' projections were beyond 0.15.
Mirror images of a nearly symmetric chest can be nearer, which one slice cannot tell.
"""


@dataclass(frozen=True)
class SliceFile:
    """A file of ground truth.

    Attributes:
        path: the file.
        slices: how many of its rows the published split has; None, in any other folder, for all of them.
        observed: whether there must be observations of it.
        patients: whose slices it holds; empty where no list says so.
    """

    path: Path
    slices: int | None
    observed: bool
    patients: frozenset[str]


def examine_slices(file: SliceFile) -> Contents:
    """Read all ground truth of a file, and its observations."""
    with open_hdf5(file.path) as opened:
        stack = stack_in(opened, KEY, kind="f", path=file.path)
        shape, stored_as = (int(stack.shape[1]), int(stack.shape[2])), str(stack.dtype)
        slices = int(stack.shape[0]) if file.slices is None else file.slices
        problems = _layout_problems(stack, slices, (SIZE, SIZE), file.path)
        low, high, unusable = finite_range(_rows(stack, slices), file.path, "slice")
    if low < 0 or high > 1:
        problems.append(told(file.path, f"values must lie in [0, 1], they lie in [{low:.3g}, {high:.3g}]"))
    if file.observed:
        problems += _observation_problems(file.path, slices)
    return Contents(
        images=slices,
        shape=shape,
        stored_as=stored_as,
        low=low,
        high=high,
        patients=file.patients,
        problems=(*problems, *unusable),
    )


def _observation_problems(ground_truth: Path, slices: int) -> list[str]:
    """Read the observations of a file; more rows than it has slices are padding."""
    path = observation_of(ground_truth)
    if not path.is_file():
        return [told(path, f"no such file, so {ground_truth.name} has no observations")]
    with open_hdf5(path) as opened:
        stack = stack_in(opened, KEY, kind="f", path=path)
        problems = _layout_problems(stack, slices, (ANGLES, DETECTORS), path)
        problems += finite_range(_rows(stack, slices), path, "observation")[2]
    return problems or _pair_problems(ground_truth, path)


def _pair_problems(ground_truth: Path, observation: Path) -> list[str]:
    """Compare a file's first observation with the projection of its first slice."""
    split = ObservationSplit([Pair(CTSlice(ground_truth, 0, ""), observation)], (SIZE, SIZE))
    item = split[0]
    assert isinstance(item, MeasuredImage)
    operator, y = acquire(item, torch.device("cpu"))
    projected = operator(item.image[None])
    distance = float((projected - y).norm() / projected.norm())
    if distance < MISMATCH:
        return []
    return [told(observation, f"observation 0 is not of slice 0 of {ground_truth.name}: {distance:.0%} off A x")]


def _layout_problems(stack: h5py.Dataset, slices: int, shape: tuple[int, int], path: Path) -> list[str]:
    problems = []
    if stack.dtype != "f4":
        problems.append(told(path, f"'{KEY}' must be float32, it is {stack.dtype}"))
    if stack.shape[1:] != shape:
        problems.append(told(path, f"'{KEY}' must be (slices, {shape[0]}, {shape[1]}), it is {tuple(stack.shape)}"))
    if stack.shape[0] < slices:
        problems.append(told(path, f"'{KEY}' has {stack.shape[0]} rows for {slices} slices"))
    return problems


def _rows(stack: h5py.Dataset, slices: int) -> Iterator[NDArray[Any]]:
    return (stack[row] for row in range(min(slices, stack.shape[0])))


def _audit_split(source: Path, split: Split) -> SplitAudit:
    paths = ground_truth_files(source, split)
    published, genuine = PUBLISHED_SLICES[split], is_genuine(paths, split)
    observed = any(source.glob(f"observation_{split}_*.hdf5"))
    patients, problems = _patients(source, split)
    files = [
        SliceFile(
            path,
            min(SLICES_PER_FILE, published - number * SLICES_PER_FILE) if genuine else None,
            observed,
            frozenset(patients[path]),
        )
        for number, path in enumerate(paths)
    ]
    return SplitAudit(
        split=split,
        files=files,
        examine=examine_slices,
        problems=(*problems, *_gaps(paths)),
        published=(published, "images"),
    )


def _patients(source: Path, split: Split) -> tuple[dict[Path, set[str]], list[str]]:
    """Return whose slices each file holds, and why that is not known."""
    patients: dict[Path, set[str]] = defaultdict(set)
    try:
        for reference in list_slices(source, split):
            patients[reference.path].add(reference.group)
    except DataError as error:
        return patients, [str(error)]
    return patients, []


def _gaps(paths: list[Path]) -> Iterator[str]:
    """Name the files that are missing between those that are there."""
    numbers = {int(match[0]): path for path in paths if (match := re.search(r"\d+(?=\.hdf5$)", path.name))}
    for number in sorted(set(range(max(numbers, default=-1))) - set(numbers)):
        yield told(paths[0].with_name(re.sub(r"\d+(?=\.hdf5$)", f"{number:03d}", paths[0].name)), "no such file")


def _recognises(source: Path) -> bool:
    return any(source.glob("ground_truth_*.hdf5")) or any(source.glob("observation_*.hdf5"))


LODOPAB = Layout(
    title="LoDoPaB-CT",
    looks_like="ground_truth_{train,validation,test}_000.hdf5 and so on",
    tasks=("ct", "diffraction"),
    recognises=_recognises,
    audit=partial(audit_splits, _audit_split),
)
