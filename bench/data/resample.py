"""Bring any image to any size without aliasing."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.base import Fit

Number = TypeVar("Number", bound=np.generic)


def resize(image: NDArray[np.float32], image_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Shrink by exact area averaging; enlarge linearly where an axis is shorter than wanted.

    Area averaging keeps the mean, cannot overshoot the range of its input and has no ringing. A coarser
    MRI scan would cut k-space instead, but its ringing would break the promise that magnitudes are at most 1.

    Args:
        image: (C, H, W) float32.
        image_shape: wanted (H, W) in pixels.

    Returns:
        (C, *image_shape) float32; the input itself where nothing has to change.
    """
    if image.shape[1:] == image_shape:
        return image
    resized = image.astype(np.float64)
    for axis, wanted in zip((1, 2), image_shape, strict=True):
        resized = _resize_axis(resized, axis, wanted)
    # A mean can land one rounding step outside its input; readers promise [0, 1].
    return np.clip(resized, image.min(), image.max()).astype(np.float32)


def fitted(image: NDArray[np.float32], image_shape: tuple[int, int], fit: Fit) -> NDArray[np.float32]:
    """Bring an image to a size as ``fit`` says.

    Args:
        image: (C, H, W) float32.
        image_shape: wanted (H, W) in pixels.
        fit: as of ``ImageSplit``.

    Raises:
        ValueError: if an image that must not be resized is smaller than wanted.
    """
    if fit == "resize":
        return resize(image, image_shape)
    if image.shape[1] < image_shape[0] or image.shape[2] < image_shape[1]:
        raise ValueError(f"{image.shape[1]}x{image.shape[2]} pixels are too few for {image_shape[0]}x{image_shape[1]}")
    return image if fit == "whole" else np.ascontiguousarray(crop_centre(image, image_shape))


def crop_to_aspect(image: NDArray[Number], image_shape: tuple[int, int]) -> NDArray[Number]:
    """Cut the largest centred part with the wanted ratio of height to width.

    Args:
        image: (C, H, W).
        image_shape: (H, W) whose ratio is wanted.

    Returns:
        (C, h, w), a view, with h/w as near to the ratio as whole pixels allow.
    """
    height, width = image.shape[1:]
    wanted_height, wanted_width = image_shape
    return crop_centre(
        image,
        (
            max(1, min(height, round(width * wanted_height / wanted_width))),
            max(1, min(width, round(height * wanted_width / wanted_height))),
        ),
    )


def crop_centre(image: NDArray[Number], image_shape: tuple[int, int]) -> NDArray[Number]:
    """Cut the centred part of a given size.

    Args:
        image: (..., H, W), at least as large as wanted.
        image_shape: wanted (H, W) in pixels.

    Returns:
        (..., *image_shape), a view; with an odd margin the larger half is cut below and to the right.
    """
    height, width = image_shape
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[..., top : top + height, left : left + width]


def _resize_axis(image: NDArray[np.float64], axis: int, wanted: int) -> NDArray[np.float64]:
    """Resize one axis by gathers; a matrix product would wake a thread pool in every worker."""
    size = image.shape[axis]
    if wanted == size:
        return image
    if wanted > size:
        centres = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
        return _between(image, centres, axis)
    padding = [(0, 0)] * image.ndim
    padding[axis] = (1, 0)
    area_up_to = np.pad(np.cumsum(image, axis=axis), padding)
    areas = np.diff(_between(area_up_to, np.arange(wanted + 1) * size / wanted, axis), axis=axis)
    return np.asarray(areas * wanted / size)


def _between(values: NDArray[np.float64], positions: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Interpolate linearly along one axis at fractional positions."""
    below = np.minimum(positions.astype(np.intp), values.shape[axis] - 2).clip(min=0)
    above = np.minimum(below + 1, values.shape[axis] - 1)
    weight = (positions - below).reshape([-1 if other == axis else 1 for other in range(values.ndim)])
    return np.asarray(values.take(below, axis) * (1 - weight) + values.take(above, axis) * weight)
