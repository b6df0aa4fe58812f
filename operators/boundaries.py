"""The image's values beyond its border for a convolution, as runs of pixels added without a copy."""

from itertools import groupby
from typing import Literal, NamedTuple

Boundary = Literal["zero", "reflect", "circular"]


class PixelRun(NamedTuple):
    """Pixels ``target ... target + length - 1`` of a shifted axis and where they come from.

    Attributes:
        shift: by how many pixels the axis is shifted.
        target: first pixel of the shifted axis.
        source: lowest pixel of the axis it is read from.
        length: number of pixels.
        flipped: whether they are read backwards.
    """

    shift: int
    target: int
    source: int
    length: int
    flipped: bool


def runs(length: int, radius: int, boundary: Boundary) -> tuple[PixelRun, ...]:
    """Return the runs of an axis shifted by 1, -1, 2, -2, ... +-radius pixels: shifted[i] = axis[i + shift].

    Args:
        length: pixels of the axis; may be less than the radius.
        radius: largest shift.
        boundary: the values outside the image.
    """
    shifts = (sign * distance for distance in range(1, radius + 1) for sign in (1, -1))
    return tuple(run for shift in shifts for run in _runs_of_one_shift(length, shift, boundary))


def _runs_of_one_shift(length: int, shift: int, boundary: Boundary) -> list[PixelRun]:
    sources = [_inside(target + shift, length, boundary) for target in range(length)]
    pieces: list[PixelRun] = []
    # Neighbours in one period (or one half of it, where every second half is mirrored) make a run.
    turn = max(length - 1, 1) if boundary == "reflect" else length
    for period, members in groupby(range(length), key=lambda target: (target + shift) // turn):
        targets = list(members)
        read = [sources[target] for target in targets]
        if read[0] is None or read[-1] is None:
            continue
        flipped = boundary == "reflect" and period % 2 != 0 and length > 1
        pieces.append(PixelRun(shift, targets[0], min(read[0], read[-1]), len(targets), flipped))
    return pieces


def _inside(position: int, length: int, boundary: Boundary) -> int | None:
    if boundary == "circular":
        return position % length
    if boundary == "zero":
        return position if 0 <= position < length else None
    if length == 1:
        return 0
    position %= 2 * (length - 1)
    return min(position, 2 * (length - 1) - position)
